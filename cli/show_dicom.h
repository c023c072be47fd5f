/* show, the part about one DICOM file, and the table of reason codes. */
#ifndef CLI_SHOW_DICOM_H
#define CLI_SHOW_DICOM_H

#include "cli/cmd.h"

/* Print the facts of the file, every decision of prepare and every reason with its phase; write the
 * picture of --image. A file that cannot be read is a reason, not a failure. */
MUST_CHECK bool show_dicom(cmd_args *a, const char *path, err *e);
/* Every reason code as a row of a Markdown table (docs/dicom.md holds the same). */
bool show_dicom_reasons(const cmd_args *a);
#endif
