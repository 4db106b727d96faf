// Keeps what the charts show; the server sends only what is new. Bounded by `keep`.
window.barque = (() => {
  const charts = {}; // element id -> what that chart shows
  const escape = (s) => String(s).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

  // A chart's ECharts instance appears a little after its element.
  const whenReady = (id, use, tries = 200) => {
    const chart = getElement(id)?.chart;
    if (chart) use(chart);
    else if (tries > 0) setTimeout(() => whenReady(id, use, tries - 1), 25);
  };

  const formats = {};
  const format = (zone, options) => {
    const key = zone + JSON.stringify(options);
    return (formats[key] ??= new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options }));
  };
  const hm = (ms, zone) => format(zone, { hour: "2-digit", minute: "2-digit" }).format(ms);
  const hms = (ms, zone) => format(zone, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);
  const full = (ms, zone) =>
    format(zone, { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);

  // Index of the bar that was open at `ms`; -1 where that is before the first.
  const barAt = (bars, ms) => {
    let low = 0, high = bars.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bars[middle][0] <= ms) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };

  // Round steps for the axis: at most nine labels across what is visible, each at the first bar of its step.
  const MINUTE = 60000;
  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1440, 2880, 10080].map((minutes) => minutes * MINUTE);
  const stepFor = (span) => STEPS.find((step) => span / step <= 9) ?? STEPS.at(-1);

  function candles(id, update) {
    const shown = (charts[id] ??= { bars: [], fills: [] });
    const before = shown.bars.length;
    if (update.reset) shown.bars = [];
    if (update.resetFills) shown.fills = [];
    Object.assign(shown, update.look);
    const known = update.reset ? 0 : Math.max(0, (shown.at ?? 0) - update.at); // several bars may open in one ms: count, do not compare
    shown.bars = shown.bars.concat(update.bars.slice(known));
    shown.at = update.at + update.bars.length;
    const dropped = Math.max(0, shown.bars.length - shown.keep);
    shown.bars = shown.bars.slice(dropped);
    shown.fills = shown.fills.concat(update.fills).slice(-shown.keep);
    shown.mark = update.mark ?? (update.reset ? null : shown.mark);
    whenReady(id, (chart) => draw(chart, shown, update.reset || before === 0, update.bars.length));
  }

  // A mark far from the bars on show (another day's market) would only squash them.
  const isNear = (mark, bars) => {
    if (mark == null || !bars.length) return false;
    const low = Math.min(...bars.map((bar) => bar[3])), high = Math.max(...bars.map((bar) => bar[4]));
    return mark >= low - (high - low) && mark <= high + (high - low);
  };

  function draw(chart, shown, fresh, added) {
    const { bars, fills, places, zone } = shown;
    const times = bars.map((bar) => String(bar[0]));
    const marks = { buy: [], sell: [] };
    for (const fill of fills) {
      const index = barAt(bars, fill.ms);
      if (index >= 0) marks[fill.side].push({ value: [times[index], fill.price], deal: fill });
    }
    const option = {
      axisPointer: { label: { formatter: (p) => (p.axisDimension === "x" ? hm(+p.value, zone) : p.value.toFixed(places)) } },
      xAxis: [{ data: times, axisLabel: { show: false }, axisPointer: { label: { show: false } } }, { data: times, axisLabel: { interval: (i, t) => i > 0 && Math.floor(+t / shown.step) !== Math.floor(times[i - 1] / shown.step), formatter: (t) => hm(+t, zone) } }],
      yAxis: [{ axisLabel: { formatter: (v) => v.toFixed(places) } }],
      tooltip: { formatter: (points) => tip(points, shown) },
      series: [
        { data: bars.map((bar) => bar.slice(1, 5)) },
        { data: marks.buy },
        { data: marks.sell },
        { data: isNear(shown.mark, bars.slice(-140)) ? times.map(() => shown.mark) : [], endLabel: { formatter: () => (shown.mark ?? 0).toFixed(places) } },
        { data: bars.map((bar) => ({ value: bar[5], itemStyle: { color: bar[2] >= bar[1] ? "#2fbf9b55" : "#ef646155" } })) },
      ],
    };
    const zoom = chart.getOption()?.dataZoom?.[0];
    const end = bars.length - 1;
    let [from, to] = [zoom?.startValue ?? 0, zoom?.endValue ?? end];
    if (fresh || !zoom) [from, to] = [Math.max(0, end - 139), end];
    else if (to >= end - added - 1) [from, to] = [Math.max(0, end - (to - from)), end]; // follow the newest bar
    const measure = (a, b) => (shown.step = stepFor((bars[b]?.[0] ?? 0) - (bars[a]?.[0] ?? 0)));
    measure(from, to);
    chart.setOption({ ...option, dataZoom: [{ startValue: from, endValue: to }] });
    chart.off("datazoom", shown.onZoom);
    shown.onZoom = () => {
      const { startValue, endValue } = chart.getOption().dataZoom[0];
      measure(startValue, endValue);
    };
    chart.on("datazoom", shown.onZoom);
  }

  function tip(points, { bars, places, zone }) {
    const candle = points.find((p) => p.seriesType === "candlestick");
    const bar = bars[points[0].dataIndex] && candle ? bars[candle.dataIndex] : null;
    const lines = [];
    if (bar) {
      const [ms, open, close, low, high, ticks] = bar;
      lines.push(`<b>${full(ms, zone)}</b>`);
      for (const [name, value] of [["Open", open], ["High", high], ["Low", low], ["Close", close]])
        lines.push(`<span class=k>${name}</span>${value.toFixed(places)}`);
      lines.push(`<span class=k>Activity</span>${ticks.toLocaleString("en-GB")}`);
    }
    for (const { data } of points.filter((p) => p.data?.deal)) {
      const f = data.deal;
      lines.push(`<b class=${f.side}>${f.side === "buy" ? "▲ bought" : "▼ sold"} ${escape(f.quantity)} @ ${escape(f.text)}</b>`);
      lines.push(`<span class=k>Strategy</span> ${escape(f.strategy)}`, `<span class=k>Order</span> ${escape(f.order)}`);
    }
    return `<div class=tip>${lines.join("<br>")}</div>`;
  }

  function equity(id, update) {
    const shown = (charts[id] ??= { accounts: {} });
    Object.assign(shown, update.look);
    for (const [name, { reset, points }] of Object.entries(update.accounts))
      shown.accounts[name] = (reset ? [] : (shown.accounts[name] ?? [])).concat(points).slice(-shown.keep);
    whenReady(id, (chart) => {
      const names = Object.keys(shown.accounts).sort();
      const old = (chart.getOption()?.series ?? []).length;
      const times = Object.values(shown.accounts).flatMap((points) => [points[0]?.[0], points.at(-1)?.[0]]).filter(Boolean);
      const tell = Math.max(...times) - Math.min(...times) < 600_000 ? hms : hm;
      const money = (v) => v.toLocaleString("en-GB", { maximumFractionDigits: shown.places, minimumFractionDigits: shown.places });
      chart.setOption({
        xAxis: { axisLabel: { hideOverlap: true, formatter: (t) => tell(t, shown.zone) } },
        yAxis: { axisLabel: { formatter: (v) => v.toLocaleString("en-GB") } },
        tooltip: { formatter: (points) => `<div class=tip><b>${full(points[0].value[0], shown.zone)}</b><br>${points
          .map((p) => `${escape(p.seriesName)} ${money(p.value[1])}`).join("<br>")}</div>` },
        series: names.map((name, index) => ({ ...shown.series[index % shown.series.length], name, data: shown.accounts[name] })),
      }, old > names.length ? { replaceMerge: ["series"] } : {});
    });
  }

  return { candles, equity, forget: (id) => delete charts[id] };
})();
