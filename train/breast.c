/* Breast in patches (breast.h): the same geometry as op_patch, on a mask instead of pixels. */
#include "train/breast.h"

#include <string.h>

/* Is the mask set where output pixel (x, y) reads the raw image? Truncation is the pixel to the
 * left of a place that is not negative. */
static inline bool hit(const uint8_t *mask, int h, int w, const double *a, int x, int y)
{
    double px = x + 0.5, py = y + 0.5;
    double sx = a[0] * px + a[1] * py + a[2], sy = a[3] * px + a[4] * py + a[5];
    return sx >= 0 && sy >= 0 && sx < w && sy < h && mask[(int)sy * w + (int)sx];
}

void breast_patches(const uint8_t *mask, int h, int w, const model_view *view, int rows, int cols,
                    uint8_t *out)
{
    int ph = h / rows, pw = w / cols;
    double affine[6];
    for (int i = 0; i < 6; i++)
        affine[i] = (double)view->affine[i];
    memset(out, 0, (size_t)rows * (size_t)cols);
    for (int y = 0; y < rows * ph; y++) {
        uint8_t *row = out + y / ph * cols;
        for (int c = 0; c < cols; c++) {
            for (int x = c * pw; x < (c + 1) * pw && !row[c]; x++)
                row[c] = hit(mask, h, w, affine, x, y);
        }
    }
}
