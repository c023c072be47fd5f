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
    int32_t labels[64];
    opencv_component one;
    m[27] = m[28] = m[35] = m[36] = 1;
    opencv_open(m, 8, 8, 1);
    opencv_components(m, 8, 8, labels, &one, 1);
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

int opencv_components(const uint8_t *mask, int h, int w, int32_t *labels, opencv_component *out,
                      int cap)
{
    try {
        cv::Mat l(h, w, CV_32S, labels), stats, centroids;
        int n = cv::connectedComponentsWithStats(wrap(mask, h, w), l, stats, centroids, 8, CV_32S,
                                                 cv::CCL_WU);
        for (int i = 1; i < n && i - 1 < cap; i++)
            out[i - 1] = {stats.at<int>(i, cv::CC_STAT_LEFT), stats.at<int>(i, cv::CC_STAT_TOP),
                          stats.at<int>(i, cv::CC_STAT_WIDTH), stats.at<int>(i, cv::CC_STAT_HEIGHT),
                          stats.at<int>(i, cv::CC_STAT_AREA)};
        return n - 1;
    } catch (const std::exception &x) {
        BUG("opencv_components: %s", x.what());
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
