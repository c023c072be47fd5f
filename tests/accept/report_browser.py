"""Opens report.html in headless Chromium through chromedriver (plain HTTP, standard library only)
and checks what only a browser can: no message on the console, no request, the policy lets the
script run, sorting, theme and details work by keyboard, nothing overflows, figures have names,
text keeps its contrast in both themes. Prints `ok NAME` or `not ok NAME: WHY`.

usage: report_browser.py CHROMEDRIVER CHROMIUM REPORT.html FOLDER-FOR-PICTURES
"""
import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

PORT = 9517
ENTER = "\ue007"


class Driver:
    def __init__(self, program, browser):
        self.process = subprocess.Popen([program, f"--port={PORT}"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.base = f"http://127.0.0.1:{PORT}"
        options = {"binary": browser,
                   "args": ["--headless=new", "--no-sandbox", "--disable-gpu",
                            "--disable-dev-shm-usage", "--window-size=1280,1000",
                            "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking",
                            "--no-first-run"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options,
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        for _ in range(100):
            try:
                value = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
                break
            except urllib.error.URLError:
                time.sleep(0.2)
        else:
            raise SystemExit("not ok browser: chromedriver does not answer")
        self.base += "/session/" + value["sessionId"]

    def call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit("not ok browser: " + error.read().decode()[:300]) from error

    def run(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def keys(self, text):
        actions = [{"type": t, "value": c} for c in text for t in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]})

    def devtools(self, command, params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def picture(self, path):
        size = self.devtools("Page.getLayoutMetrics", {})["cssContentSize"]
        shot = self.devtools("Page.captureScreenshot", {
            "captureBeyondViewport": True,
            "clip": {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000),
                     "scale": 1}})
        with open(path, "wb") as f:
            f.write(base64.b64decode(shot["data"]))

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()


failed = 0


def check(name, good, why=""):
    global failed
    failed += not good
    print(f"ok {name}" if good else f"not ok {name}: {why}", flush=True)


COLUMN = """
var t = document.querySelectorAll('table.sortable')[arguments[0]];
return Array.from(t.tBodies[0].rows).map(function (r) {
    var c = r.cells[arguments[1]];
    return [r.cells[0].textContent, c.textContent, c.getAttribute('data-v')];
}.bind(null)).map(function (x) { return x; });
"""
ROWS = """
var t = document.querySelectorAll('table.sortable')[arguments[0]], k = arguments[1];
return Array.from(t.tBodies[0].rows).map(function (r) {
    var v = r.cells[k].getAttribute('data-v');
    return v === null ? r.cells[k].textContent : Number(v);
});
"""
# one table of many rows, and its first column of numbers
CHOOSE = """
var best = null;
document.querySelectorAll('table.sortable').forEach(function (t, i) {
    var row = t.tBodies[0].rows[0], k = -1;
    if (t.closest('details')) return;
    Array.from(row.cells).forEach(function (c, j) { if (k < 0 && c.hasAttribute('data-v')) k = j; });
    if (k >= 0 && (!best || t.tBodies[0].rows.length > best[2])) best = [i, k, t.tBodies[0].rows.length];
});
return best;
"""
FOCUS = """
var t = document.querySelectorAll('table.sortable')[arguments[0]];
var h = t.querySelectorAll('thead th')[arguments[1]];
h.querySelector('button').focus();
return document.activeElement.tagName;
"""
ARIA = """
var t = document.querySelectorAll('table.sortable')[arguments[0]];
return Array.from(t.querySelectorAll('thead th')).map(function (h) {
    return h.getAttribute('aria-sort'); });
"""
# WCAG contrast of every text node against the nearest painted background
CONTRAST = """
function lum(c) { return c.map(function (v) { v /= 255;
    return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); })
    .reduce(function (s, v, i) { return s + v * [0.2126, 0.7152, 0.0722][i]; }, 0); }
function rgb(s) { var m = s.match(/[\\d.]+/g).map(Number);
    return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3); }
var worst = [99, ''], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), n;
while ((n = walk.nextNode())) {
    var e = n.parentElement, style = getComputedStyle(e);
    if (!n.textContent.trim() || e.closest('script,style,.views,.beside,[hidden],title,desc')) continue;
    var box = e.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    var svg = e.closest('svg'), ink = rgb(svg ? style.fill : style.color), back = null, p = e;
    while (p && !back) { back = rgb(getComputedStyle(p).backgroundColor); p = p.parentElement; }
    back = back || [255, 255, 255];
    var a = lum(ink), b = lum(back), r = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (r < worst[0]) worst = [r, e.tagName + ': ' + n.textContent.trim().slice(0, 40)];
}
return worst;
"""
OVERFLOW = "return [document.documentElement.scrollWidth, window.innerWidth];"
HEADINGS = """
return Array.from(document.querySelectorAll('h1,h2,h3,h4')).map(function (h) {
    return Number(h.tagName[1]); });
"""
FIGURES = """
return Array.from(document.querySelectorAll('svg:not(.layer):not([aria-hidden])')).map(function (s) {
    var ids = (s.getAttribute('aria-labelledby') || '').split(' ');
    return [s.getAttribute('role'), ids.length,
        ids.every(function (i) { var e = document.getElementById(i);
            return e && e.textContent.trim().length > 3; })];
});
"""
DATA = """
return Array.from(document.querySelectorAll('script[type="application/json"]')).map(function (s) {
    return [s.id, Object.keys(JSON.parse(s.textContent)).length]; });
"""


def sorting(d):
    table, column, _ = d.run(CHOOSE)
    first = d.run(ROWS, table, column)
    check("sort_button", d.run(FOCUS, table, column) == "BUTTON", "no button in the table head")
    d.keys(ENTER)
    up = d.run(ROWS, table, column)
    numbers = [v for v in up if not isinstance(v, str)]
    check("sort_up", numbers == sorted(numbers) and up[:len(numbers)] == numbers
          and sorted(map(str, up)) == sorted(map(str, first)), str(up))
    aria = d.run(ARIA, table)
    check("aria_sort", aria[column] == "ascending" and sum(a is not None for a in aria) == 1, str(aria))
    d.keys(ENTER)
    down = d.run(ROWS, table, column)
    numbers = [v for v in down if not isinstance(v, str)]
    check("sort_down", numbers == sorted(numbers, reverse=True), str(down))
    d.keys(ENTER)
    check("sort_back", d.run(ROWS, table, column) == first, "the third click keeps an order")


def toggles(d, pictures):
    light = d.run("return getComputedStyle(document.body).backgroundColor")
    worst = d.run(CONTRAST)
    check("contrast_light", worst[0] >= 4.5, str(worst))
    d.picture(os.path.join(pictures, "report-light.png"))
    d.run("document.getElementById('theme').focus()")
    d.keys(ENTER)
    dark = d.run("return getComputedStyle(document.body).backgroundColor")
    pressed = d.run("return document.getElementById('theme').getAttribute('aria-pressed')")
    check("dark", light != dark and pressed == "true", f"{light} {dark} {pressed}")
    worst = d.run(CONTRAST)
    check("contrast_dark", worst[0] >= 4.5, str(worst))
    d.picture(os.path.join(pictures, "report-dark.png"))
    d.keys(ENTER)
    count = "return document.querySelectorAll('details[open]').length"
    closed = d.run(count)
    d.run("document.getElementById('open-all').focus()")
    d.keys(ENTER)
    opened = d.run(count)
    d.run("document.getElementById('close-all').focus()")
    d.keys(ENTER)
    check("details", closed == 0 and opened > 0 and d.run(count) == 0, f"{closed} {opened}")


def structure(d):
    levels = d.run(HEADINGS)
    steps = [b - a for a, b in zip(levels, levels[1:])]
    check("headings", levels[0] == 1 and levels.count(1) == 1 and max(steps) <= 1, str(levels))
    figures = d.run(FIGURES)
    check("figures", figures and all(f == ["img", 2, True] for f in figures), str(figures))
    data = d.run(DATA)
    check("figure_data", len(data) == len(figures), f"{len(data)} of {len(figures)}")
    check("language", d.run("return document.documentElement.lang") != "", "no lang")
    check("duplicate_ids", d.run("var s = Array.from(document.querySelectorAll('[id]')).map(e => e.id);"
                                 "return s.length === new Set(s).size"), "an id stands twice")
    wide, window = d.run(OVERFLOW)
    check("width", wide <= window, f"{wide} > {window}")
    d.devtools("Emulation.setDeviceMetricsOverride",
               {"width": 320, "height": 800, "deviceScaleFactor": 1, "mobile": False})
    wide, window = d.run(OVERFLOW)
    check("reflow_320", wide <= 320, f"{wide} > 320")
    d.devtools("Emulation.clearDeviceMetricsOverride", {})


VIEWER = """
var v = document.querySelector('.viewer'), l = v.querySelector('.layer'),
    i = v.querySelector('.pic img');
return {shown: getComputedStyle(l).display, opacity: Number(getComputedStyle(l).opacity),
        filter: getComputedStyle(i).filter, tools: !v.querySelector('.adjust').hidden,
        middle: Array.from(v.querySelectorAll('.pic')).map(function (p) {
            var b = p.getBoundingClientRect(), t = v.querySelector('.views').getBoundingClientRect(),
                m = (t.left + t.right) / 2;
            return Math.round(Math.min(Math.abs(b.left - m), Math.abs(b.right - m))); })};
"""


def viewer(d):
    """An exam page by keyboard: map, window, opacity, reset."""
    focus = "document.querySelector(arguments[0]).focus()"
    at = d.run(VIEWER)
    check("viewer_plain", at["shown"] == "none" and at["filter"] == "none" and at["tools"], str(at))
    check("viewer_middle", max(at["middle"]) <= 1, str(at["middle"]))
    d.run(focus, ".viewer .on0")
    d.keys("\ue014")
    at = d.run(VIEWER)
    check("viewer_map", at["shown"] == "block", str(at))
    before = at["opacity"]
    d.run(focus, "[data-opacity]")
    d.keys("\ue012" * 5)
    at = d.run(VIEWER)
    check("viewer_opacity", abs(before - 0.05 - at["opacity"]) < 1e-6, f"{before} {at}")
    d.run(focus, "[data-width]")
    d.keys("\ue012" * 20)
    at = d.run(VIEWER)
    check("viewer_window", "brightness(1)" in at["filter"] and "contrast(1.25)" in at["filter"],
          str(at))
    d.run(focus, ".viewer [data-reset]")
    d.keys(ENTER)
    at = d.run(VIEWER)
    check("viewer_reset", at["filter"] == "none" and at["opacity"] == before, str(at))
    d.run(focus, ".viewer .on1")
    d.keys("\ue012")
    check("viewer_off", d.run(VIEWER)["shown"] == "none", "the map stays")


def silence(d, address):
    messages = [m for m in d.call("POST", "/se/log", {"type": "browser"})]
    check("console", not messages, str(messages[:3]))
    asked = []
    for entry in d.call("POST", "/se/log", {"type": "performance"}):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith("data:") and url not in (address, "about:blank"):
                asked.append(url)
    check("no_request", not asked, str(asked[:3]))


def main():
    program, browser, report, pictures = sys.argv[1:]
    address = "file://" + os.path.abspath(report)
    d = Driver(program, browser)
    try:
        d.call("POST", "/url", {"url": address})
        sorting(d)
        toggles(d, pictures)
        viewer(d)
        structure(d)
        silence(d, address)
        paper = d.call("POST", "/print", {"page": {"width": 21.0, "height": 29.7}})
        with open(os.path.join(pictures, "report-printed.pdf"), "wb") as f:
            f.write(base64.b64decode(paper))
        check("printed", len(paper) > 10000, "nothing was printed")
    finally:
        d.close()
    return 1 if failed else 0


sys.exit(main())
