"use strict";
// Draws the report's charts and its table of trades from the JSON in #data. All charts show one span of time, `span` (ms UTC).
// An axis is ordinal: points stand side by side, so weekends take no room.

const data = JSON.parse(document.getElementById("data").textContent);
const css = getComputedStyle(document.documentElement);
const color = name => css.getPropertyValue("--" + name).trim();
const RIGHT = 80, BOTTOM = 22, TOP = 10;
const charts = [];
const hidden = new Set(); // names of strategies whose trades are not drawn
let span = [0, 1];

// -- numbers and times ------------------------------------------------------------------------------------------------

const number = (x, places) => x === null ? "–" : x.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
const signed = (x, places) => x === null ? "–" : (x > 0 ? "+" : "") + number(x, places);
const pad = x => String(x).padStart(2, "0");
const day = d => `${d.getUTCFullYear()}-${pad(d.getUTCMonth() + 1)}-${pad(d.getUTCDate())}`;
const when = ms => { const d = new Date(ms); return `${day(d)} ${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}`; };
const lasted = s => s === null ? "–" : s >= 172800 ? (s / 86400).toFixed(1) + " d" : s >= 7200 ? (s / 3600).toFixed(1) + " h" : s >= 120 ? (s / 60).toFixed(1) + " m" : s.toFixed(0) + " s";
const escape = text => text.replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

function lower(list, x) { // first index whose value is not below x
  let low = 0, high = list.length;
  while (low < high) { const middle = (low + high) >> 1; if (list[middle] < x) low = middle + 1; else high = middle; }
  return low;
}
function place(times, ms) { // index of a time, with its fraction between two points
  const n = times.length, i = lower(times, ms);
  if (i === 0) return n > 1 ? Math.max(-0.5, (ms - times[0]) / (times[1] - times[0])) : 0;
  if (i === n) return n > 1 ? Math.min(n - 0.5, n - 1 + (ms - times[n - 1]) / (times[n - 1] - times[n - 2])) : 0;
  return i - 1 + (ms - times[i - 1]) / (times[i] - times[i - 1]);
}
function timeAt(times, index) {
  const n = times.length, i = Math.max(0, Math.min(n - 2, Math.floor(index)));
  return n > 1 ? times[i] + (index - i) * (times[i + 1] - times[i]) : times[0];
}

// -- what Python packed ------------------------------------------------------------------------------------------------

function candlesOf(packed) { // times in steps since the last, open since the last close, high, low and close since the open, in quanta
  const { start, step, quantum, rows } = packed, n = rows.length / 5;
  const found = { t: new Array(n), o: new Array(n), h: new Array(n), l: new Array(n), c: new Array(n) };
  let at = 0, close = 0;
  for (let i = 0; i < n; i++) {
    const k = 5 * i, open = close + rows[k + 1];
    at += rows[k]; close = open + rows[k + 4];
    found.t[i] = start + at * step; found.o[i] = open * quantum; found.c[i] = close * quantum;
    found.h[i] = (open + rows[k + 2]) * quantum; found.l[i] = (open - rows[k + 3]) * quantum;
  }
  return found;
}
const trades = data.trades.entry.map((entry, i) => {
  const trade = { i };
  for (const [key, column] of Object.entries(data.trades)) trade[key] = column[i];
  trade.strategyName = data.strategies[trade.strategy];
  trade.symbolName = data.symbols[trade.symbol];
  trade.end = trade.exit === null ? data.end : trade.exit;
  trade.lasted = trade.exit === null ? null : (trade.exit - trade.entry) / 1000;
  return trade;
});

// -- a chart -----------------------------------------------------------------------------------------------------------

class Chart {
  constructor(canvas) {
    this.canvas = canvas; this.tip = canvas.parentNode.querySelector(".tip"); this.pointer = null; this.drag = null;
    charts.push(this);
    canvas.addEventListener("wheel", e => { e.preventDefault(); this.zoom(e.offsetX, Math.exp(Math.sign(e.deltaY) * 0.22)); }, { passive: false });
    canvas.addEventListener("pointerdown", e => { this.drag = [e.offsetX, ...this.range()]; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointerup", () => { this.drag = null; });
    canvas.addEventListener("pointermove", e => {
      this.pointer = [e.offsetX, e.offsetY];
      if (this.drag) {
        const [x, from, to] = this.drag, moved = (x - e.offsetX) / this.width * (to - from), times = this.times();
        const shift = Math.max(-0.5 - from, Math.min(times.length - 0.5 - to, moved));
        show(timeAt(times, from + shift), timeAt(times, to + shift));
      } else this.draw();
    });
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    canvas.addEventListener("dblclick", () => show(data.start, data.end));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }
  range() { const times = this.times(); return [place(times, span[0]), place(times, span[1])]; }
  zoom(x, factor) {
    const times = this.times(), [from, to] = this.range(), at = from + (to - from) * x / this.width, n = times.length;
    if (n < 3 || (factor < 1 && to - from < 8)) return;
    show(timeAt(times, Math.max(-0.5, at - (at - from) * factor)), timeAt(times, Math.min(n - 0.5, at + (to - at) * factor)));
  }
  begin() {
    const { canvas } = this, scale = devicePixelRatio || 1, { width, height } = canvas.getBoundingClientRect();
    if (!width) return null;
    canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
    const g = canvas.getContext("2d");
    g.scale(scale, scale); g.font = "11px " + getComputedStyle(document.body).fontFamily; g.textBaseline = "middle";
    this.width = width - RIGHT; this.height = height - BOTTOM;
    return g;
  }
  x(index, [from, to]) { return (index - from) / Math.max(to - from, 1e-9) * this.width; }
  timeAxis(g, times, range) {
    const [from, to] = range, left = timeAt(times, from), wide = timeAt(times, to) - left;
    g.fillStyle = color("faint"); g.textAlign = "center";
    const count = Math.max(2, Math.floor(this.width / 110));
    for (let k = 0; k < count; k++) {
      const x = (k + 0.5) * this.width / count, d = new Date(timeAt(times, from + (to - from) * (k + 0.5) / count));
      const text = wide / count > 86400000 ? day(d) : `${pad(d.getUTCMonth() + 1)}-${pad(d.getUTCDate())} ${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}`;
      g.fillText(text, x, this.height + BOTTOM / 2 + 1);
    }
  }
  valueAxis(g, low, high, top, bottom, text) { // returns y of a value
    if (!(high > low)) { high += Math.abs(high) * 0.001 || 1; low -= Math.abs(low) * 0.001 || 1; }
    const y = v => bottom - (v - low) / (high - low) * (bottom - top), wanted = Math.max(2, (bottom - top) / 55);
    const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find(m => m * power >= raw) * power;
    g.strokeStyle = color("grid"); g.fillStyle = color("faint"); g.textAlign = "left"; g.lineWidth = 1;
    for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
      const at = Math.round(y(v)) + 0.5;
      g.beginPath(); g.moveTo(0, at); g.lineTo(this.width, at); g.stroke();
      g.fillText(text(Math.abs(v) < step / 1e6 ? 0 : v), this.width + 8, at);
    }
    return y;
  }
  crosshair(g) {
    if (!this.pointer || this.pointer[0] > this.width) { this.tip.style.display = "none"; return null; }
    const [x, y] = this.pointer;
    g.strokeStyle = color("faint"); g.setLineDash([3, 3]); g.lineWidth = 1; g.beginPath();
    g.moveTo(x, 0); g.lineTo(x, this.height); g.moveTo(0, y); g.lineTo(this.width, y); g.stroke(); g.setLineDash([]);
    return [x, y];
  }
  showTip(html, x, y) {
    const { tip } = this;
    tip.innerHTML = html; tip.style.display = "block";
    tip.style.left = (x + 18 + tip.offsetWidth > this.width ? x - tip.offsetWidth - 14 : x + 18) + "px";
    tip.style.top = Math.max(4, Math.min(this.height - tip.offsetHeight, y + 14)) + "px";
  }
}

// -- equity and drawdown -----------------------------------------------------------------------------------------------

class EquityChart extends Chart {
  constructor(canvas) {
    super(canvas);
    this.shown = new Set(data.curves.map((_, i) => i).filter(i => i === 0 || data.curves.length > 2));
    const legend = document.getElementById("legend");
    data.curves.forEach((curve, i) => {
      if (data.curves.length === 2 && i) return; // one strategy is the account
      const button = document.createElement("button");
      button.innerHTML = `<span class="swatch" style="background: var(--c${i % 6 + 1})"></span>${escape(curve.name)}`;
      button.setAttribute("aria-pressed", this.shown.has(i));
      button.onclick = () => {
        const on = !this.shown.delete(i);
        if (on) this.shown.add(i);
        if (i) on ? hidden.delete(curve.name) : hidden.add(curve.name);
        button.setAttribute("aria-pressed", on);
        for (const chart of charts) chart.draw();
      };
      legend.append(button, " ");
    });
  }
  times() { return data.curves[0].t; }
  draw() {
    const g = this.begin(), total = data.curves[0], times = this.times();
    if (!g || !times.length) return;
    const range = this.range(), first = Math.max(0, Math.floor(range[0])), last = Math.min(times.length - 1, Math.ceil(range[1]));
    const split = this.height * 0.72, lines = data.curves.map((curve, i) => [curve, i]).filter(([, i]) => this.shown.has(i));
    let low = Infinity, high = -Infinity;
    const part = lines.map(([curve, i]) => {
      const from = curve === total ? first : lower(curve.t, times[first]), to = curve === total ? last : Math.min(curve.t.length - 1, lower(curve.t, times[last]));
      for (let k = from; k <= to; k++) { low = Math.min(low, curve.v[k]); high = Math.max(high, curve.v[k]); }
      return [curve, i, from, to];
    });
    const room = (high - low) * 0.06;
    const y = this.valueAxis(g, low - room, high + room, TOP, split - 8, v => number(v, high - low < 10 ? 2 : 0));
    g.save(); g.beginPath(); g.rect(0, 0, this.width, this.height); g.clip();
    for (const [curve, i, from, to] of part.reverse()) {
      g.strokeStyle = color("c" + (i % 6 + 1)); g.lineWidth = i ? 1.2 : 1.8; g.beginPath();
      for (let k = from; k <= to; k++) g.lineTo(this.x(curve === total ? k : place(times, curve.t[k]), range), y(curve.v[k]));
      g.stroke();
    }
    g.restore();
    let deepest = 0;
    for (let k = first; k <= last; k++) deepest = Math.min(deepest, total.d[k]);
    const yd = this.valueAxis(g, deepest * 1.08 || -0.001, 0, split + 8, this.height, v => number(v * 100, deepest > -0.02 ? 2 : 1) + " %");
    g.save(); g.beginPath(); g.rect(0, split, this.width, this.height - split); g.clip();
    g.fillStyle = color("down") + "38"; g.strokeStyle = color("down"); g.lineWidth = 1; g.beginPath(); g.moveTo(this.x(first, range), yd(0));
    for (let k = first; k <= last; k++) g.lineTo(this.x(k, range), yd(total.d[k]));
    g.stroke(); g.lineTo(this.x(last, range), yd(0)); g.fill(); g.restore();
    this.timeAxis(g, times, range);
    const at = this.crosshair(g);
    if (!at) return;
    const k = Math.max(0, Math.min(times.length - 1, Math.round(range[0] + (range[1] - range[0]) * at[0] / this.width)));
    const rows = lines.map(([curve, i]) => {
      const j = curve === total ? k : Math.max(0, lower(curve.t, times[k] + 1) - 1);
      return `<tr><td><span class="swatch" style="background: var(--c${i % 6 + 1})"></span>${escape(curve.name)}</td><td><b>${number(curve.v[j], data.places)}</b></td></tr>`;
    });
    this.showTip(`${when(times[k])}<table>${rows.join("")}<tr><td>drawdown</td><td class="down">${number(total.d[k] * 100, 2)} %</td></tr></table>`, ...at);
  }
}

// -- candles and trades ------------------------------------------------------------------------------------------------

class PriceChart extends Chart {
  constructor(canvas, picture, symbol) {
    super(canvas);
    this.picture = picture; this.far = candlesOf(picture.far); this.near = picture.near ? candlesOf(picture.near) : this.far;
    this.trades = trades.filter(trade => trade.symbol === symbol).sort((a, b) => a.entry - b.entry);
    this.label = canvas.closest("section").querySelector("h2 small");
  }
  level() { // the near candles where no more than 2,000 of them are seen
    const { near } = this;
    return near !== this.far && lower(near.t, span[1]) - lower(near.t, span[0]) <= 2000 ? near : this.far;
  }
  times() { return this.level().t; }
  draw() {
    const g = this.begin(), bars = this.level(), times = bars.t;
    if (!g || !times.length) return;
    this.label.textContent = `${this.picture.price}, candles of ${bars === this.far ? this.picture.farInterval : this.picture.nearInterval}`;
    const range = this.range(), first = Math.max(0, Math.floor(range[0])), last = Math.min(times.length - 1, Math.ceil(range[1]));
    let low = Infinity, high = -Infinity;
    for (let i = first; i <= last; i++) { low = Math.min(low, bars.l[i]); high = Math.max(high, bars.h[i]); }
    for (const trade of this.seen()) {
      const prices = [trade.entryPrice, trade.exitPrice ?? trade.entryPrice];
      low = Math.min(low, ...prices); high = Math.max(high, ...prices);
    }
    const room = (high - low) * 0.05, y = this.valueAxis(g, low - room, high + room, TOP, this.height, v => number(v, this.picture.places));
    g.save(); g.beginPath(); g.rect(0, 0, this.width, this.height); g.clip();
    const wide = this.width / Math.max(range[1] - range[0], 1), body = Math.max(1, Math.min(14, wide * 0.7));
    for (const rising of [true, false]) {
      g.fillStyle = g.strokeStyle = color(rising ? "up" : "down"); g.lineWidth = 1; g.beginPath();
      for (let i = first; i <= last; i++) {
        if ((bars.c[i] >= bars.o[i]) !== rising) continue;
        const x = this.x(i, range), top = y(Math.max(bars.o[i], bars.c[i])), bottom = y(Math.min(bars.o[i], bars.c[i]));
        g.moveTo(x, y(bars.h[i])); g.lineTo(x, y(bars.l[i]));
        if (wide > 2) g.rect(x - body / 2, top, body, Math.max(bottom - top, 0.8));
      }
      if (wide > 2) g.fill();
      g.stroke();
    }
    const near = this.drawTrades(g, times, range, y);
    g.restore();
    this.timeAxis(g, times, range);
    const at = this.crosshair(g);
    if (!at) return;
    const hit = near(at);
    if (hit) { this.showTip(tradeTip(hit, this.picture.places), ...at); return; }
    const i = Math.max(0, Math.min(times.length - 1, Math.round(range[0] + (range[1] - range[0]) * at[0] / this.width)));
    const cells = ["o", "h", "l", "c"].map(k => `<tr><td>${{ o: "open", h: "high", l: "low", c: "close" }[k]}</td><td><b>${number(bars[k][i], this.picture.places)}</b></td></tr>`);
    this.showTip(`${when(times[i])}<table>${cells.join("")}</table>`, ...at);
  }
  seen() { return this.trades.filter(trade => trade.end >= span[0] && trade.entry <= span[1] && !hidden.has(trade.strategyName)); }
  drawTrades(g, times, range, y) { // returns a search for the trade whose mark is near a point
    const marks = [];
    const spot = ms => this.x(place(times, ms) , range);
    const seen = this.seen();
    const many = seen.length > 400, size = seen.length > 3000 ? 1.6 : many ? 3.2 : 5.5;
    for (const trade of seen) {
      const x1 = spot(trade.entry), y1 = y(trade.entryPrice), x2 = spot(trade.end), y2 = trade.exitPrice === null ? y1 : y(trade.exitPrice);
      g.strokeStyle = color(trade.net === null ? "soft" : trade.net >= 0 ? "up" : "down"); g.lineWidth = many ? 0.7 : 1.2; g.setLineDash(many ? [] : [4, 3]);
      g.beginPath(); g.moveTo(x1, y1); g.lineTo(x2, y2); g.stroke(); g.setLineDash([]);
      mark(g, x1, y1, trade.long, size, !many); marks.push([x1, y1, trade]);
      if (trade.exit !== null) { mark(g, x2, y2, !trade.long, size, !many); marks.push([x2, y2, trade]); }
    }
    return ([x, y0]) => {
      let best = 100, found = null;
      for (const [mx, my, trade] of marks) { const d = (mx - x) ** 2 + (my - y0) ** 2; if (d < best) { best = d; found = trade; } }
      return found;
    };
  }
}
function mark(g, x, y, bought, size, outlined) {
  const tip = bought ? -size : size;
  g.fillStyle = color(bought ? "buy" : "sell"); g.strokeStyle = color("card"); g.lineWidth = 1;
  g.beginPath(); g.moveTo(x, y + tip); g.lineTo(x - size * 0.85, y - tip * 0.8); g.lineTo(x + size * 0.85, y - tip * 0.8); g.closePath(); g.fill();
  if (outlined) g.stroke();
}
function tradeTip(trade, places) {
  const rows = [
    ["entry", `${when(trade.entry)} at <b>${number(trade.entryPrice, places)}</b>`],
    ["exit", trade.exit === null ? "open" : `${when(trade.exit)} at <b>${number(trade.exitPrice, places)}</b>`],
    ["net", `<b class="${trade.net >= 0 ? "up" : "down"}">${signed(trade.net, data.places)} ${escape(data.currency)}</b>`],
  ];
  if (trade.reason) rows.push(["why", escape(trade.reason)]);
  return `${escape(trade.strategyName)} ${trade.long ? "long" : "short"} ${trade.quantity}<table>${rows.map(r => `<tr><td>${r[0]}</td><td>${r[1]}</td></tr>`).join("")}</table>`;
}

// -- the table of trades -----------------------------------------------------------------------------------------------

const COLUMNS = [
  ["strategy", "strategyName"], ["symbol", "symbolName"], ["side", "long"], ["entry", "entry"], ["exit", "end"], ["lasted", "lasted"], ["quantity", "quantity"],
  ["at", "entryPrice"], ["to", "exitPrice"], ["net", "net"], ["worst", "worst"], ["best", "best"], ["reason", "reason"],
];
const PAGE = 50;
function tradesTable() {
  const section = document.getElementById("trades"), head = section.querySelector("thead"), body = section.querySelector("tbody"), pager = section.querySelector(".right");
  let order = trades.slice(), by = "entry", down = false, page = 0;
  const numeric = new Set(["lasted", "quantity", "at", "to", "net", "worst", "best"]);
  head.innerHTML = "<tr>" + COLUMNS.map(([title, key]) => `<th data-sort="${key}" class="${numeric.has(title) ? "n" : ""}">${title}</th>`).join("") + "</tr>";
  head.onclick = e => {
    const key = e.target.dataset.sort;
    if (!key) return;
    down = key === by ? !down : numeric.has(e.target.textContent); by = key; page = 0; fill();
  };
  body.onclick = e => {
    const trade = trades[e.target.closest("tr").dataset.i], room = Math.max((trade.end - trade.entry) * 1.5, (data.end - data.start) / 400);
    show(trade.entry - room, trade.end + room);
    document.querySelector(`[data-symbol="${trade.symbol}"]`)?.scrollIntoView({ behavior: "smooth", block: "center" });
  };
  pager.innerHTML = `<button>‹</button> <span></span> <button>›</button>`;
  const [back, on] = pager.querySelectorAll("button");
  back.onclick = () => { page--; fill(); };
  on.onclick = () => { page++; fill(); };
  function fill() {
    order.sort((a, b) => (a[by] === null) - (b[by] === null) || (a[by] < b[by] ? -1 : a[by] > b[by] ? 1 : a.i - b.i) * (down ? -1 : 1));
    for (const th of head.querySelectorAll("th")) th.setAttribute("aria-sort", th.dataset.sort === by ? (down ? "descending" : "ascending") : "none");
    const pages = Math.max(1, Math.ceil(order.length / PAGE));
    back.disabled = page === 0; on.disabled = page >= pages - 1;
    pager.querySelector("span").textContent = `${page + 1} of ${number(pages, 0)}`;
    body.innerHTML = order.slice(page * PAGE, page * PAGE + PAGE).map(t => {
      const places = data.pricePlaces[t.symbol], money = v => `<td class="n">${number(v, data.places)}</td>`;
      return `<tr data-i="${t.i}"><td>${escape(t.strategyName)}</td><td>${escape(t.symbolName)}</td><td>${t.long ? "long" : "short"}</td><td>${when(t.entry)}</td>`
        + `<td>${t.exit === null ? "open" : when(t.exit)}</td><td class="n">${lasted(t.lasted)}</td><td class="n">${t.quantity}</td><td class="n">${number(t.entryPrice, places)}</td>`
        + `<td class="n">${number(t.exitPrice, places)}</td><td class="n ${t.net >= 0 ? "up" : "down"}">${signed(t.net, data.places)}</td>${money(t.worst)}${money(t.best)}`
        + `<td class="reason" title="${escape(t.reason)}">${escape(t.reason)}</td></tr>`;
    }).join("") || `<tr><td class="faint" colspan="${COLUMNS.length}">no trades</td></tr>`;
  }
  fill();
}

// -- all together ------------------------------------------------------------------------------------------------------

let due = false;
function show(from, to) {
  span = [Math.max(data.start, from), Math.min(data.end, to)];
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; for (const chart of charts) chart.draw(); });
}
new EquityChart(document.getElementById("equity"));
data.pictures.forEach(picture => new PriceChart(document.querySelector(`[data-symbol="${picture.symbol}"] canvas`), picture, picture.symbol));
tradesTable();
show(data.start, data.end);
document.body.dataset.ready = "yes";
