// OpenCV behind plain C; see opencv_shim.h. Nothing else in the project includes OpenCV.
#include "preprocess/opencv_shim.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <vector>

#include "core/err.h"

namespace
{
cv::Mat wrap(const uint8_t *mask, int h, int w)
{
    return cv::Mat(h, w, CV_8U, const_cast<uint8_t *>(mask));
}

void morph(uint8_t *mask, int h, int w, int radius, int op)
{
    if (radius < 1)
        return;
    cv::Mat m = wrap(mask, h, w), out;
    cv::Mat k =
        cv::getStructuringElement(cv::MORPH_ELLIPSE, cv::Size(2 * radius + 1, 2 * radius + 1));
    cv::morphologyEx(m, out, op, k);
    out.copyTo(m);
}
} // namespace

void opencv_init(void)
{
    cv::setNumThreads(1);
    uint8_t m[64] = {0};
    m[27] = m[28] = m[35] = m[36] = 1;
    opencv_open(m, 8, 8, 1);
    opencv_hull_area(m, 8, 8);
}

void opencv_open(uint8_t *mask, int h, int w, int radius)
{
    try {
        morph(mask, h, w, radius, cv::MORPH_OPEN);
    } catch (const std::exception &x) {
        BUG("opencv_open: %s", x.what());
    }
}

void opencv_dilate(uint8_t *mask, int h, int w, int radius)
{
    try {
        morph(mask, h, w, radius, cv::MORPH_DILATE);
    } catch (const std::exception &x) {
        BUG("opencv_dilate: %s", x.what());
    }
}

double opencv_hull_area(const uint8_t *mask, int h, int w)
{
    try {
        // Only the outermost pixels of each row can lie on the hull; corners make it pixel area.
        std::vector<cv::Point> points, hull;
        for (int y = 0; y < h; y++) {
            const uint8_t *row = mask + static_cast<size_t>(y) * w;
            const uint8_t *a = std::find(row, row + w, uint8_t{1});
            if (a == row + w)
                continue;
            int x0 = static_cast<int>(a - row), x1 = w;
            while (!row[x1 - 1])
                x1--;
            points.insert(points.end(), {{x0, y}, {x1, y}, {x0, y + 1}, {x1, y + 1}});
        }
        if (points.empty())
            return 0;
        cv::convexHull(points, hull);
        return cv::contourArea(hull);
    } catch (const std::exception &x) {
        BUG("opencv_hull_area: %s", x.what());
    }
}
