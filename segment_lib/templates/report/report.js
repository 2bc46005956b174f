"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("data");
  const specs = read("specs");
  const at = Object.fromEntries(data.figures.map((figure, place) => [figure.name, place]));
  const byId = new Map(data.segments.map((segment, place) => [segment.id, place]));

  /** An element with attributes and children; texts are text, never markup. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child != null));
    return element;
  }

  const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

  function shown(value, unit) {
    if (value == null) return "–";
    if (unit === "share") return PERCENT.format(value);
    return unit === "currency" ? `${NUMBER.format(value)} ${data.currency}` : NUMBER.format(value);
  }

  function table(heads, rows) {
    const cell = (value, place) => place === 0
      ? make("th", { scope: "row" }, String(value))
      : make("td", { class: "number" }, value == null ? "–" : String(value));
    return make("div", { class: "wide" }, make("table", {},
      make("thead", {}, make("tr", {}, heads.map((head, place) =>
        make("th", { scope: "col", class: place ? "number" : null }, head)))),
      make("tbody", {}, rows.map((row) => make("tr", {}, row.map(cell))))));
  }

  // The list ---------------------------------------------------------------------------------------------------------

  const body = document.querySelector("#segments tbody");
  const rows = [...body.rows];
  const NUMBERS = new Set(["size", "share", "net", "revenue"]);

  function sort(button) {
    const head = button.closest("th");
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of document.querySelectorAll("#segments th[aria-sort]")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const name = button.dataset.sort;
    const order = NUMBERS.has(name)
      ? (one, other) => Number(one.dataset[name]) - Number(other.dataset[name])
      : (one, other) => one.dataset[name].localeCompare(other.dataset[name]);
    const known = rows.filter((row) => row.dataset[name] !== "").sort(order);
    if (down) known.reverse();
    body.append(...known, ...rows.filter((row) => row.dataset[name] === ""));
  }

  function filter() {
    const value = (id) => document.getElementById(id).value;
    const words = value("search").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = `${row.dataset.id} ${row.dataset.title} ${row.dataset.state}`.toLowerCase();
      const { size, created } = row.dataset;
      const fits = words.every((word) => text.includes(word))
        && (value("least") === "" || (size !== "" && Number(size) >= Number(value("least"))))
        && (value("most") === "" || (size !== "" && Number(size) <= Number(value("most"))))
        && (value("from") === "" || (created !== "" && created >= value("from")))
        && (value("to") === "" || (created !== "" && created <= value("to")));
      row.hidden = !fits;
      count += fits;
    }
    document.getElementById("count").textContent = `${count} ${count === 1 ? "segment" : "segments"}`;
  }

  for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sort(button));
  const filters = document.getElementById("filters");
  filters.addEventListener("input", filter);
  filters.addEventListener("submit", (event) => event.preventDefault());

  // Charts: the library runs when the first one is opened ------------------------------------------------------------

  function embed() {
    if (!window.vegaEmbed) document.head.append(make("script", {}, document.getElementById("library").textContent));
    return window.vegaEmbed;
  }

  /** Days as the reader's own midnights: as plain ISO days they would be those of Greenwich. */
  const local = (rows) => rows.map((row) => ({
    ...row, ...(row.date && { date: `${row.date}T00:00:00` }), ...(row.month && { month: `${row.month}T00:00:00` }),
  }));

  function chart(name, datasets, words) {
    const place = make("div", { class: "chart", role: "img", "aria-label": words });
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    // Its width is that of its place, which it has once it stands in the page.
    const rows = Object.fromEntries(Object.entries(datasets).map(([key, values]) => [key, local(values)]));
    // `ast` has the charts' expressions interpreted, so that the page may forbid code made of text.
    requestAnimationFrame(() => embed()(place, { ...specs[name], datasets: rows, background: null },
      { actions: false, ast: true, renderer: "svg", theme: dark ? "dark" : undefined }));
    return place;
  }

  // Tabs of a segment ------------------------------------------------------------------------------------------------

  const difference = (value, other) => (value == null || other == null ? null : value - other);

  function summary(segment) {
    const change = (value, unit) => (value == null || value === 0 ? shown(value, unit) : (value > 0 ? "+" : "") + shown(value, unit));
    const values = data.figures.map((figure, place) => [
      figure.says, shown(segment.figures?.[place], figure.unit),
      change(difference(segment.figures?.[place], segment.before?.[place]), figure.unit),
      shown(data.everyone.figures?.[place], figure.unit),
    ]);
    const months = (segment.months ?? []).map(([month, revenue]) => ({ month, revenue }));
    return [
      segment.figures?.length ? null : make("p", {}, "This date has no figures of the segment."),
      months.length ? chart("months", { months }, "net revenue by month of who is a member now") : null,
      table(["Figure", segment.title, "Since the date before", "Everyone"], values),
    ];
  }

  function growth(segment) {
    const pick = (side) => data.dates.map((date, place) => ({ date, value: segment.sizes[side][place] }));
    const sizes = pick("customers").map(({ date, value }) => ({ date, customers: value }));
    const edits = (segment.edits ?? []).map(([place, what]) => ({ date: data.dates[place], what }));
    const flows = [["entered", 1], ["left", -1]].flatMap(([change, sign]) =>
      pick(change).filter((one) => one.value).map(({ date, value }) => ({ date, change, customers: sign * value })));
    const recent = data.dates.map((date, place) => [
      date, shown(segment.sizes.customers[place]), shown(segment.sizes.entered[place]), shown(segment.sizes.left[place]),
      edits.filter((edit) => edit.date === date).map((edit) => edit.what).join(", "),
    ]).reverse().slice(0, 31);
    return [
      chart("sizes", { sizes, edits }, "customers over time; dashed lines are edits of the definition"),
      chart("flows", { flows }, "who entered and who left, by date"),
      table(["Date", "Customers", "Entered", "Left", "Definition"], recent),
    ];
  }

  const shared = new Map(data.shared.map(([one, other, customers]) => [`${one} ${other}`, customers]));
  const size = (place) => data.segments[place].figures?.[at.customers] ?? 0;

  /** Customers in all of these places when a set of conf has them all: the regions that lie in each of them. */
  function counted(places) {
    const set = data.exact.find((one) => places.every((place) => one.places.includes(place)));
    const within = ([inside]) => places.every((place) => inside.includes(place));
    return set?.regions.filter(within).reduce((sum, [, customers]) => sum + customers, 0);
  }

  /** Customers in all of these places: exact for one, two and those of conf, else from the sample with its 95% interval. */
  function overlap(places) {
    if (places.length === 1) return { customers: size(places[0]) };
    const [one, other] = [...places].sort((a, b) => a - b);
    if (places.length === 2) return { customers: shared.get(`${one} ${other}`) ?? 0 };
    const known = counted(places);
    if (known != null) return { customers: known };
    const sampled = data.sample.customers.length;
    if (sampled === data.sample.of) return { customers: sampled ? inSample(places) : 0 };
    return estimate(inSample(places), sampled, data.sample.of);
  }

  const inSample = (places) => data.sample.customers.filter((own) => places.every((place) => own.includes(place))).length;

  /** Wilson's interval of a share, times all customers (E. B. Wilson, 1927). */
  function estimate(found, sampled, all) {
    const z = 1.959964, share = found / sampled, grown = 1 + (z * z) / sampled;
    const middle = (share + (z * z) / (2 * sampled)) / grown;
    const half = (z / grown) * Math.sqrt((share * (1 - share)) / sampled + (z * z) / (4 * sampled * sampled));
    return {
      customers: Math.round(share * all), least: Math.max(0, Math.round((middle - half) * all)),
      most: Math.round((middle + half) * all),
    };
  }

  function combinations(places) {
    const all = [];
    for (let bits = 1; bits < 1 << places.length; bits += 1) all.push(places.filter((_, n) => bits & (1 << n)));
    return all.sort((one, other) => one.length - other.length);
  }

  function compare(segment) {
    const chosen = [byId.get(segment.id)];
    const result = make("div", { id: "compared" });
    const select = make("select", { id: "other" }, make("option", { value: "" }, "choose a segment"),
      data.segments.map((one, place) => make("option", { value: place }, one.title)));
    select.addEventListener("change", () => {
      const place = Number(select.value);
      if (select.value !== "" && !chosen.includes(place) && chosen.length < 5) chosen.push(place);
      select.value = "";
      draw();
    });
    const own = byId.get(segment.id);
    const sets = data.exact.filter((one) => one.places.includes(own)).map((one) => make("button", {
      type: "button", click: () => {
        chosen.splice(0, chosen.length, own, ...one.places.filter((place) => place !== own));
        draw();
      },
    }, one.places.map((place) => data.segments[place].title).join(", ")));
    const names = (places) => places.map((place) => data.segments[place].title).join(" and ");

    function draw() {
      const heads = ["Figure", ...chosen.map((place) => data.segments[place].title)];
      const values = data.figures.map((figure, n) =>
        [figure.says, ...chosen.map((place) => shown(data.segments[place].figures?.[n], figure.unit))]);
      const overlaps = chosen.length > 1 ? combinations(chosen).map((places) => {
        const { customers, least, most } = overlap(places);
        const how = least == null ? "exact" : `estimated, ${NUMBER.format(least)} to ${NUMBER.format(most)} (95%)`;
        return [names(places), shown(customers), how];
      }) : [];
      const dropped = chosen.slice(1).map((place) => make("button", {
        type: "button", click: () => { chosen.splice(chosen.indexOf(place), 1); draw(); },
      }, `remove ${data.segments[place].title}`));
      result.replaceChildren(
        make("div", { class: "choices" }, dropped),
        ...(overlaps.length ? [make("h3", {}, "Customers in all of"), table(["Segments", "Customers", "How known"], overlaps)] : []),
        make("h3", {}, "Figures"), table(heads, values));
    }
    draw();
    return [
      make("label", {}, "Compare with, up to four", select),
      sets.length ? make("div", { class: "choices", id: "sets" }, "Sets of conf, exact:", sets) : null, result,
    ];
  }

  function breakdown(segment) {
    return segment.breakdowns.map((one) => [
      make("h3", {}, `By ${one.by}`),
      table(["Group", "Customers", "of purchasers", "of revenue", "Revenue per purchaser"], one.groups.map((group) => [
        group.value ?? `(${group.kind})`, shown(group.customers), shown(group.share_of_purchasers, "share"),
        shown(group.share_of_revenue, "share"), shown(group.revenue_per_purchaser, "currency"),
      ])),
    ]);
  }

  function customers(segment) {
    if (!segment.examples?.length) return [make("p", {}, "No members to show.")];
    const heads = Object.keys(segment.examples[0]);
    return [
      make("p", { class: "soft" }, "The same members every night, masked; seglake customers writes whole lists."),
      table(heads, segment.examples.map((one) => heads.map((head) => one[head] ?? "–"))),
    ];
  }

  function sent(segment) {
    const reasons = { held_out: "held out", priority: "by priority", suppressed: "suppressed", no_consent: "without consent",
      no_identifier: "without address", void: "no longer" };
    const kept = (one) => Object.entries(reasons).filter(([name]) => one[name])
      .map(([name, says]) => `${shown(one[name])} ${says}`).join(", ") || "–";
    const hours = (seconds) => (seconds == null ? "–" : `${NUMBER.format(seconds / 3600)} h`);
    return [
      segment.audiences?.length ? [make("h3", {}, "Audiences, as last synced"), table(
        ["Destination", "State", "Wanted", "Added", "Removed", "Refused", "Kept out", "Ended", "After publishing", "Why"],
        segment.audiences.map((one) => [one.destination, one.state, shown(one.wanted), shown(one.added), shown(one.removed),
          shown(one.refused), kept(one), one.ended_at, hours(one.lag_seconds), one.reason ?? "–"]))] : null,
      segment.messages?.length ? [make("h3", {}, "Messages, in all"), table(
        ["Trigger", "By", "State", "Sent", "Refused", "Kept out", "Waiting", "Looked at", "Why"],
        segment.messages.map((one) => [one.trigger, one.destination, one.state, shown(one.sent), shown(one.refused),
          kept(one), shown(one.waiting), one.ended_at, one.reason ?? "–"]))] : null,
    ].flat();
  }

  function definition(segment) {
    const edits = (segment.edits ?? []).map(([place, what]) => [data.dates[place], what]).reverse();
    return [
      segment.description ? make("p", {}, segment.description) : null,
      segment.reason ? make("p", {}, segment.reason) : null,
      segment.label ? [make("h3", {}, "In words"), make("p", {}, segment.label)] : null,
      segment.yaml ? [make("h3", {}, "Definition"), make("pre", { tabindex: 0 }, segment.yaml)] : null,
      segment.sql ? [make("h3", {}, "SQL"), make("pre", { tabindex: 0 }, segment.sql)] : null,
      edits.length ? [make("h3", {}, "History"), table(["Date", "What"], edits)] : null,
    ].flat();
  }

  const TABS = [
    ["Summary", summary], ["Breakdown", breakdown], ["Compare", compare], ["Growth", growth], ["Customers", customers],
    ["Sent", sent], ["Definition", definition],
  ];
  const detail = document.getElementById("detail");

  function open(segment) {
    const some = { Breakdown: segment.breakdowns?.length, Sent: segment.audiences?.length || segment.messages?.length };
    const tabs = TABS.filter(([name]) => !(name in some) || some[name]);
    const panel = make("div", { role: "tabpanel", id: "panel", tabindex: 0, "aria-labelledby": "tab-Summary" });
    const buttons = tabs.map(([name], place) => make("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "panel", click: () => select(place),
      keydown: (event) => {
        const next = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[event.key];
        if (next == null) return;
        event.preventDefault();
        const to = (next + tabs.length) % tabs.length;
        select(to);
        buttons[to].focus();
      },
    }, name));

    function select(place) {
      buttons.forEach((button, n) => {
        button.setAttribute("aria-selected", n === place);
        button.tabIndex = n === place ? 0 : -1;
      });
      panel.setAttribute("aria-labelledby", buttons[place].id);
      panel.replaceChildren(...[tabs[place][1](segment)].flat(3).filter((child) => child != null));
    }

    detail.replaceChildren(
      make("p", {}, make("a", { href: "#list" }, "All segments")),
      make("h2", { id: "detail-title" }, segment.title),
      make("p", { class: "soft" }, [
        segment.kind, segment.state?.replaceAll("_", " "),
        segment.used_by?.length ? `used by ${segment.used_by.join(", ")}` : "",
      ].filter(Boolean).join(" · ")),
      make("div", { role: "tablist", "aria-label": "About this segment" }, buttons), panel);
    detail.hidden = false;
    select(0);
    detail.focus();
    detail.scrollIntoView();
  }

  function follow() {
    const found = location.hash.match(/^#segment=(.*)$/);
    const place = found && byId.get(decodeURIComponent(found[1]));
    if (place != null) open(data.segments[place]);
    else detail.hidden = true;
  }

  addEventListener("hashchange", follow);
  follow();
})();
