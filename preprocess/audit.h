/* Contact sheets of a prepared store: for every reason code a sheet of images it hit, and one of
 * kept images, so that a person can judge the criteria before they exclude. Hospital side: pictures
 * may show what is burned into them; captions hold pseudonyms only. */
#ifndef PREPROCESS_AUDIT_H
#define PREPROCESS_AUDIT_H

#include "core/cfg.h"

#define AUDIT_MAX 100 /* images per sheet */

typedef struct audit_opts {
    const char *store;
    const cfg *config;
    int images; /* per code, 1 .. AUDIT_MAX */
    int threads;
} audit_opts;
typedef struct audit_result {
    int sheets, pictures;
    int left; /* chosen images that could not be shown: changed, gone or not decodable */
} audit_result;

/* Write STORE/audit/<prepare id>/<CODE>.png, KEPT.png and index.html (files 0600, folders 0700);
 * an older audit of this id is replaced. Which images stand on a sheet is a function of the store's
 * key, the code and the images. ERR_INPUT when nothing was prepared under this config, ERR_IO when
 * an archive folder is not there. */
MUST_CHECK bool audit_run(const audit_opts *o, audit_result *out, err *e);
#endif
