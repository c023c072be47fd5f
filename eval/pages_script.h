/* The part of the page's one script (report_page.c) that the exam pages add: window, level and
 * opacity. Window w and level l on 0..1 are two CSS filters whose product is (v - l) / w + 0.5;
 * their order is such that the first one clips nothing that the second would show. */
#ifndef EVAL_PAGES_SCRIPT_H
#define EVAL_PAGES_SCRIPT_H

/* clang-format off */
#define PAGES_SCRIPT \
    "all('.viewer').forEach(function(v){\n" \
    "var t=v.querySelector('.adjust');if(!t)return;\n" \
    "var q=function(n){return t.querySelector('[data-'+n+']')},w=q('width'),l=q('level')," \
    "o=q('opacity'),r=q('reset');\n" \
    "var draw=function(){var W=w.value/100,L=l.value/100,f='none',b;\n" \
    "if(L>=W/2){f='brightness('+1/(2*L)+') contrast('+2*L/W+')'}\n" \
    "else{b=1-2*L/W+1/W;f='contrast('+1/(W*b)+') brightness('+b+')'}\n" \
    "if(W==1&&L==0.5)f='none';\n" \
    "all('.pic img',v).forEach(function(i){i.style.filter=f});\n" \
    "if(o)v.style.setProperty('--layer',o.value/100)};\n" \
    "[w,l,o].forEach(function(i){if(i)i.addEventListener('input',draw)});\n" \
    "r.addEventListener('click',function(){w.value=100;l.value=50;if(o)o.value=50;draw()});\n" \
    "t.hidden=false;draw()});\n"
/* clang-format on */

#endif
