#include "collector/web/status_page.h"

namespace fleet::collector {

// Every colour of text has a contrast of at least 4.5 to its ground, in light and in dark.
const absl::string_view kStatusPageStyle = R"css(
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--text:#1b1f24;--soft:#57606a;
--line:#d0d7de;--ok:#116329;--warn:#8a5a00;--bad:#c11c28;--none:#57606a;--ok-ground:#dff3e4;
--warn-ground:#fff3cf;--bad-ground:#ffe3e1;--none-ground:#e9ecef;--link:#0757b8;
--bar-ok:#2da44e;--bar-warn:#d4a72c;--bar-bad:#d1242f;--bar-none:#ced4da}
@media (prefers-color-scheme:dark){:root{--ground:#0d1117;--card:#161b22;--text:#e6edf3;
--soft:#a0a9b4;--line:#30363d;--ok:#56d364;--warn:#e3b341;--bad:#ff7b72;--none:#a0a9b4;
--ok-ground:#12261a;--warn-ground:#2b2310;--bad-ground:#3a1618;--none-ground:#21262d;
--link:#79c0ff;--bar-ok:#2ea043;--bar-warn:#d29922;--bar-bad:#f85149;--bar-none:#3d444d}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:46rem;margin:0 auto;padding:1.5rem 1rem 2rem;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .25rem}
h2{font-size:1.15rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:0;font-weight:600}
p{margin:.25rem 0}
a{color:var(--link)}
header p,.asof,.legend,.meta,footer,.response{color:var(--soft);font-size:.875rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;
padding:.75rem 1rem;margin:.75rem 0}
.overall{border-radius:.5rem;border:1px solid var(--line);border-left-width:.5rem;
padding:.9rem 1rem;margin:1.25rem 0}
.overall h2{margin:0;font-size:1.3rem;line-height:1.3}
.overall .asof,.overall .age{color:var(--text)}
.line{display:flex;flex-wrap:wrap;gap:.25rem .75rem;justify-content:space-between;
align-items:baseline}
.line h3{min-width:0}
.verdict{font-weight:600;white-space:nowrap}
.verdict::before{content:"\25CF";margin-right:.4em}
.verdict.warn::before{content:"\25B2"}
.verdict.bad::before{content:"\25A0"}
.verdict.none::before{content:"?"}
.ok{color:var(--ok)}.warn{color:var(--warn)}.bad{color:var(--bad)}.none{color:var(--none)}
.overall.ok{background:var(--ok-ground);border-color:var(--ok)}
.overall.warn{background:var(--warn-ground);border-color:var(--warn)}
.overall.bad{background:var(--bad-ground);border-color:var(--bad)}
.overall.none{background:var(--none-ground);border-color:var(--none)}
svg{display:block;width:100%}
.bars{height:2rem;margin-top:.5rem}
.bars rect{width:3px;height:32px;fill:var(--bar-ok)}
.bars .warn{fill:var(--bar-warn)}.bars .bad{fill:var(--bar-bad)}.bars .none{fill:var(--bar-none)}
.legend{display:flex;justify-content:space-between;gap:.5rem;margin:.15rem 0 0}
.legend strong{color:var(--text);font-weight:600}
.response{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem .75rem;margin-top:.5rem}
.response svg{flex:1 1 9rem;height:2rem;min-width:0}
.response path{fill:none;stroke:var(--link);stroke-width:1.5;vector-effect:non-scaling-stroke;
stroke-linejoin:round;stroke-linecap:round}
ul.plain{list-style:none;margin:0;padding:0}
.rows>li+li{border-top:1px solid var(--line)}
.rows>li{padding:.6rem 0}
.said{margin:.5rem 0}
.said p,.said ul,.said ol,.said pre,.said blockquote{margin:.25rem 0}
.said+.said{border-top:1px dashed var(--line);padding-top:.5rem}
.state{font-weight:600;text-transform:capitalize}
code{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.9em}
pre{overflow-x:auto}
footer{margin-top:2rem}
.age{display:none;font-size:.875rem}
.js .age{display:block}
.js .asof{display:none}
.stale .card,.stale .bars,.stale .response{filter:grayscale(1)}
.stale .why,.stale .goes-on{opacity:.75}
)css";

// How old the page is goes by the clock of whoever serves it, as far as that can be known: the
// reader's own may be wrong. What cannot be learned never makes the page look younger: a Date of
// whole seconds, made at some moment since the request left, is taken at the latest it can mean.
const absl::string_view kStatusPageScript = R"js(
(function () {
  'use strict';
  var root = document.documentElement, every = 60000, offset = 0, seen = performance.now(),
      fresh = null;  // the page as it was before it got stale
  root.classList.add('js');

  function page() { return document.getElementById('page'); }
  function millis(name) { return Number(page().getAttribute(name)) * 1000; }
  function age() {
    return Math.max(0, Date.now() + offset - millis('data-made'), performance.now() - seen);
  }
  function ago(span) {
    var s = Math.floor(span / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60);
    if (s < 60) return s + ' s ago';
    if (m < 120) return m + ' min ago';
    return h < 48 ? h + ' h ago' : Math.floor(h / 24) + ' days ago';
  }
  function isStale() { return !(age() <= millis('data-until') - millis('data-made')); }
  function show() {
    var stale = isStale(), line = page().querySelector('.age');
    if (!stale && fresh) {
      page().replaceWith(fresh);
      line = page().querySelector('.age');
      fresh = null;
    }
    if (stale && !fresh) {
      fresh = page().cloneNode(true);
      page().querySelectorAll('[data-verdict]').forEach(function (at) {
        at.classList.remove('ok', 'warn', 'bad');
        at.classList.add('none');
        (at.querySelector('.word') || at).textContent =
            at.querySelector('.word') ? 'No news from the monitor' : 'no news';
      });
    }
    root.classList.toggle('stale', stale);
    line.textContent = stale ?
        'It last said something at ' + page().getAttribute('data-said') + ', ' + ago(age()) +
        '. What follows is how it was then.' :
        'Last updated ' + ago(age()) + '.';
  }
  function take(response, text, sent) {
    var next = new DOMParser().parseFromString(text, 'text/html');
    var found = next.getElementById('page');
    if (!found || !(Number(found.getAttribute('data-made')) > 0)) return;
    var date = Date.parse(response.headers.get('date') || '');
    if (date) offset = date + 999 + 1000 * Number(response.headers.get('age') || 0) - sent;
    if (Number(found.getAttribute('data-made')) * 1000 <= millis('data-made')) return;
    if (next.documentElement.getAttribute('data-build') !== root.getAttribute('data-build')) {
      location.reload();
      return;
    }
    fresh = null;
    page().replaceWith(document.adoptNode(found));
    seen = performance.now();
  }
  function refresh() {
    var patience = new AbortController(), sent = Date.now();
    var timer = setTimeout(function () { patience.abort(); }, 15000);
    var done = function () { clearTimeout(timer); show(); };
    fetch(location.pathname + location.search,
          { cache: 'no-cache', credentials: 'omit', signal: patience.signal })
        .then(function (response) {
          if (!response.ok) throw new Error('no page');
          return response.text().then(function (text) { take(response, text, sent); });
        }).then(done, done);
  }
  function awake() {
    if (document.hidden) return;
    show();
    refresh();
  }
  show();
  setInterval(show, 1000);
  if (location.protocol !== 'file:') {
    refresh();
    setInterval(function () { if (!document.hidden) refresh(); },
                Number(root.getAttribute('data-refresh')) || every + Math.random() * 5000);
    document.addEventListener('visibilitychange', awake);
    window.addEventListener('pageshow', awake);
    window.addEventListener('online', awake);
  }
})();
)js";

}  // namespace fleet::collector
