// Lossy JPEG frames (ITU-T T.81 processes 1 to 12, 8 and 12 bit) through DCMTK's own copies of the
// IJG library, which print nothing and report by status and by warnings that the shim counts. And
// whole files through DCMTK's codecs, against which ours are measured.
#include "dicom/codec.h"
#include "dicom/dcmtk_shim.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djcparam.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpeg/djdijg12.h>
#include <dcmtk/dcmjpeg/djdijg8.h>

#include <string.h>

namespace
{

codec_status run(DJDecoder &d, const uint8_t *src, size_t len, void *to, size_t bytes)
{
    const unsigned before = dcm_warnings();
    if (d.init().bad())
        return CODEC_BROKEN;
    const OFCondition c = d.decode(const_cast<Uint8 *>(src), static_cast<Uint32>(len),
                                   static_cast<Uint8 *>(to), static_cast<Uint32>(bytes), OFFalse);
    if (c.bad())
        return CODEC_BROKEN;
    if (c != EC_Normal) // out of data, which is no error to DCMTK
        return CODEC_DAMAGED;
    return dcm_warnings() == before ? CODEC_OK : CODEC_DAMAGED;
}

} // namespace

codec_status jpeg_lossy_decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                               int *precision)
{
    jpeg_head head;
    const size_t n = static_cast<size_t>(rows) * static_cast<size_t>(cols);
    if (!jpeg_sniff(src, len, &head))
        return CODEC_BROKEN;
    if (head.rows != rows || head.cols != cols || head.components != 1)
        return CODEC_GEOMETRY;
    if ((head.precision != 8 && head.precision != 12) || len > UINT32_MAX || 2 * n > UINT32_MAX)
        return CODEC_UNSUPPORTED;
    *precision = head.precision;
    try {
        const DJCodecParameter how(ECC_lossyYCbCr, EDC_never, EUC_never, EPC_default);
        if (head.precision == 12) {
            DJDecompressIJG12Bit d(how, OFFalse);
            return run(d, src, len, dst, 2 * n);
        }
        DJDecompressIJG8Bit d(how, OFFalse);
        const codec_status s = run(d, src, len, dst, n);
        if (s == CODEC_OK) // widen in place, from the end
            for (size_t i = n; i-- > 0;)
                dst[i] = reinterpret_cast<const uint8_t *>(dst)[i];
        return s;
    } catch (...) {
        return CODEC_BROKEN;
    }
}

bool dcm_decode_all(const void *data, size_t len, uint16_t *dst, size_t n)
{
    try {
        dcm_init();
        DJDecoderRegistration::registerCodecs(); // later calls do nothing
        DcmRLEDecoderRegistration::registerCodecs();
        DcmFileFormat file;
        DcmInputBufferStream stream;
        stream.setBuffer(data, static_cast<offile_off_t>(len));
        stream.setEos();
        file.transferInit();
        if (file.read(stream, EXS_Unknown, EGL_noChange, DCM_MaxReadLength).bad())
            return false;
        file.transferEnd();
        const Uint16 *words = nullptr;
        unsigned long count = 0;
        if (file.getDataset()->chooseRepresentation(EXS_LittleEndianExplicit, nullptr).bad() ||
            file.getDataset()->findAndGetUint16Array(DCM_PixelData, words, &count).bad() ||
            !words || count < n)
            return false;
        memcpy(dst, words, n * sizeof(*dst));
        return true;
    } catch (...) {
        return false;
    }
}
