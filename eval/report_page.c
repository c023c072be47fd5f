/* Style sheet, script and content policy of report.html. */
#include "eval/report_page.h"
#include "core/fs.h"
#include "eval/pages_script.h"

static const char style[] =
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--text);font:16px/1.55 "
    "system-ui,-apple-system,"
    "'Segoe UI','Liberation Sans','DejaVu Sans',sans-serif}\n"
    "main,header,footer{max-width:68rem;margin:0 auto;padding:0 1.5rem}\n"
    "header{padding-top:2.2rem}\n"
    "h1{font-size:1.75rem;line-height:1.25;margin:0 0 .3rem;letter-spacing:-.01em}\n"
    "h2{font-size:1.25rem;margin:2.8rem 0 .9rem;padding-bottom:.35rem;border-bottom:2px solid "
    "var(--main)}\n"
    "h3{font-size:1rem;margin:1.8rem 0 .5rem}\n"
    "p{margin:.6rem 0;overflow-wrap:break-word}.sub{color:var(--muted);margin:0}\n"
    ".banner,.warn{border:1px solid var(--second);border-left-width:6px;padding:.7rem 1rem;"
    "margin:1.2rem 0;background:var(--panel);font-weight:600}\n"
    "nav{margin:1rem 0;font-size:.9rem}nav ul{display:flex;flex-wrap:wrap;gap:.2rem "
    "1.1rem;margin:0;padding:0;list-style:none}\n"
    "a{color:var(--main)}\n"
    ".note,figcaption{color:var(--muted);font-size:.875rem}\n"
    ".headline{display:flex;flex-wrap:wrap;align-items:center;gap:.4rem "
    "1.6rem;background:var(--panel);"
    "border:1px solid var(--grid);border-radius:6px;padding:1.1rem 1.4rem;margin:1rem 0}\n"
    ".headline .v{font-size:3.1rem;font-weight:650;line-height:1;color:var(--main);"
    "font-variant-numeric:tabular-nums}\n"
    ".headline p{margin:0}.headline .i{font-weight:600}\n"
    "ul.points{padding-left:1.2rem}ul.points li{margin:.45rem 0}\n"
    "figure{margin:1.4rem 0}figure svg{max-width:100%;height:auto;display:block}\n"
    "svg text{font-family:inherit}\n"
    "@media(min-width:56rem){.split{display:grid;grid-template-columns:5fr 6fr;gap:1.6rem;"
    "align-items:start}.split figure{margin-top:.4rem}}\n"
    ".scroll{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}"
    "\n"
    "th,td{padding:.38rem .6rem;text-align:right;border-bottom:1px solid "
    "var(--grid);vertical-align:top}"
    "\n"
    "thead th{border-bottom:2px solid var(--edge);font-weight:600;vertical-align:bottom}\n"
    "td.n{white-space:nowrap}th.t,td.t{text-align:left;font-weight:400}tbody "
    "th.t{white-space:nowrap}thead "
    "th.t{font-weight:600}\n"
    "tbody tr:hover{background:var(--panel)}\n"
    "table.pairs{width:auto;min-width:60%}table.pairs th{text-align:left;font-weight:600;"
    "padding-left:0;width:40%}table.pairs td{text-align:left;overflow-wrap:anywhere}\n"
    ".tools{display:flex;flex-wrap:wrap;gap:.5rem;margin:.8rem 0}.tools[hidden]{display:none}\n"
    "button{font:inherit;color:var(--main);background:var(--paper);border:1px solid var(--edge);"
    "border-radius:4px;padding:.25rem .7rem;cursor:pointer}\n"
    "th button{font-weight:inherit;color:inherit;background:none;border:0;border-radius:2px;"
    "padding:.1rem .9em .1rem 0;text-align:inherit;min-height:1.5rem;position:relative}"
    "th button::after{content:'\\2195';color:var(--muted);position:absolute;right:0;bottom:.1rem}"
    "th[aria-sort=ascending] button::after{content:'\\2191'}"
    "th[aria-sort=descending] button::after{content:'\\2193'}\n"
    ":focus-visible{outline:3px solid var(--second);outline-offset:2px}\n"
    ".skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--paper);"
    "padding:.3rem .6rem}\n"
    "details{margin:1rem 0}summary{cursor:pointer;color:var(--main)}\n"
    "pre{background:var(--panel);padding:1rem;overflow-x:auto;font-size:.8rem;line-height:1.4}\n"
    "footer{margin-top:3rem;padding-bottom:2rem;color:var(--muted);font-size:.8rem;border-top:1px "
    "solid "
    "var(--grid);padding-top:.8rem}\n"
    "@media "
    "print{body{font-size:11pt}main,header,footer{max-width:none;padding:0}nav,.tools,.skip{"
    "display:none}th button::after{content:none}"
    "details:not(.numbers)::details-content{content-visibility:visible;display:block}.numbers{"
    "display:none}thead{display:table-header-"
    "group}tr{break-inside:avoid}"
    "h2{break-after:avoid}figure,.headline{break-inside:avoid}"
    ".banner,.warn,.headline,pre{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

static const char script[] =
    "'use strict';\n"
    "(function(){\n"
    "var root=document.documentElement;\n"
    "function all(sel,from){return Array.prototype.slice.call((from||document)."
    "querySelectorAll(sel));}\n"
    /* tables: a click sorts up, the next one down, the third brings the first order back */
    "function key(row,k){var c=row.cells[k],v=c.getAttribute('data-v');"
    "return v!==null?Number(v):c.textContent;}\n"
    "function order(a,b){var x=typeof a==='number',y=typeof b==='number';\n"
    "if(x&&y)return a-b;if(x!==y)return x?-1:1;return a.localeCompare(b,root.lang,{numeric:true});}"
    "\n"
    "function sort(table,heads,rows,k){\n"
    "var was=heads[k].getAttribute('aria-sort'),"
    "now=was==='ascending'?'descending':was==='descending'?null:'ascending';\n"
    "heads.forEach(function(h){h.removeAttribute('aria-sort');});\n"
    "var list=rows.slice();\n"
    "if(now){heads[k].setAttribute('aria-sort',now);var sign=now==='ascending'?1:-1;\n"
    "list.sort(function(a,b){var x=key(a,k),y=key(b,k);\n"
    "return typeof x===typeof y?sign*order(x,y):order(x,y);});}\n"
    "list.forEach(function(r){table.tBodies[0].appendChild(r);});}\n"
    "all('table.sortable').forEach(function(table){\n"
    "var heads=all('thead th',table),rows=all('tbody tr',table);\n"
    "if(rows.length>1)heads.forEach(function(h,k){var b=document.createElement('button');"
    "b.type='button';\n"
    "while(h.firstChild)b.appendChild(h.firstChild);h.appendChild(b);\n"
    "b.addEventListener('click',function(){sort(table,heads,rows,k);});});});\n"
    /* tool bar */
    "all('.tools').forEach(function(t){t.hidden=false;});\n"
    "function on(id,f){var b=document.getElementById(id);if(b)b.addEventListener('click',"
    "function(){f(b);});}\n"
    "var dark=window.matchMedia('(prefers-color-scheme: dark)').matches,"
    "theme=document.getElementById('theme');\n"
    "if(theme)theme.setAttribute('aria-pressed',String(dark));\n"
    "on('theme',function(b){dark=!dark;root.setAttribute('data-theme',dark?'dark':'light');"
    "b.setAttribute('aria-pressed',String(dark));});\n"
    "function details(open){all('details').forEach(function(d){d.open=open;});}\n"
    "on('open-all',function(){details(true);});on('close-all',function(){details(false);});\n"
    /* what is printed is read: folded tables open for it, the numbers of curves do not */
    "var shut=[];\n"
    "window.addEventListener('beforeprint',function(){shut=all('details:not([open]):not(.numbers)')"
    ";"
    "shut.forEach(function(d){d.open=true;});});\n"
    "window.addEventListener('afterprint',function(){shut.forEach(function(d){d.open=false;});});"
    "\n" PAGES_SCRIPT "})();\n";

const char *report_page_style(void)
{
    return style;
}

const char *report_page_script(void)
{
    return script;
}

void report_page_policy(text *out)
{
    char hex[65];
    unsigned char sum[32];
    fs_sha256_of(script, strlen(script), hex);
    for (int i = 0; i < 32; i++) {
        unsigned v = 0;
        for (int k = 0; k < 2; k++) {
            char c = hex[2 * i + k];
            v = 16 * v + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        sum[i] = (unsigned char)v;
    }
    text_add(out, "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
                  "form-action 'none'; script-src 'sha256-");
    text_base64(out, sum, sizeof sum);
    text_add(out, "'");
}
