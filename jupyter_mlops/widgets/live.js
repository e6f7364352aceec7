// What a live view does in the browser: sort, filter, select, and send what was clicked to the kernel.
// Cells arrive as HTML that the kernel has escaped; everything else is set as text.

const make = (name, className, text) => {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

const button = (label, onClick) => {
  const node = make('button', 'mlops-button', label);
  node.type = 'button';
  node.addEventListener('click', onClick);
  return node;
};

const compare = (a, b) => {
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
};

// Ask once more before something is taken away: the first click changes the label, the second does it.
const confirmed = (label, onClick) => {
  let timer;
  const node = button(label, () => {
    if (timer) {
      clearTimeout(timer);
      timer = undefined;
      node.textContent = label;
      onClick();
      return;
    }
    node.textContent = `${label}? Click again`;
    timer = setTimeout(() => {
      timer = undefined;
      node.textContent = label;
    }, 4000);
  });
  return node;
};

// A filter in MLflow's words, as against a piece of text to look for.
const QUERY = /^\s*(?:(?:metrics?|params?|parameters|tags?|attributes?|attr|run)\s*\.|(?:status|run_name|run_id|start_time|end_time)\s*(?:[!<>=]|i?like\b))/i;

function tableView(view, local, send, redraw) {
  const query = () => Boolean(view.choice) && QUERY.test(local.filter);
  const words = () => (query() ? '' : local.filter);
  // Of thousands of rows only the first are here: then the kernel sorts and filters, and sends those that are first now.
  const kept = view.asks || local.sort === undefined;
  const sorted = kept ? (view.columns ?? []).indexOf(view.sort) : local.sort;
  const direction = kept ? view.direction : local.direction;
  const arrange = more => {
    local.sort = undefined; // it counts columns, which may be others now; the kernel knows them by name
    send({ do: 'arrange', sort: view.columns[sorted] ?? '', direction, words: words(), ...more });
  };
  const root = make('div');
  const bar = make('div', 'mlops-bar');
  const filter = make('input', 'mlops-input');
  filter.type = 'search';
  filter.placeholder = view.choice ? 'Filter, or metrics.x > 0.8 and Enter' : 'Filter';
  filter.size = view.choice ? 34 : 20;
  filter.setAttribute('aria-label', 'Filter rows');
  filter.value = local.filter;
  bar.append(filter);
  const count = make('span', 'mlops-dim');
  const here = view.rows.map(row => row.key);
  const chosen = new Set([...local.chosen].filter(key => view.asks || here.includes(key)));
  local.chosen = chosen;
  let go;
  if (view.select) {
    go = button(view.select, () => send({ do: 'select', keys: [...chosen] }));
    bar.append(go);
  }
  if (view.refresh) bar.append(button('Refresh', () => send({ do: 'refresh' })));
  bar.append(count);

  const table = make('table');
  const head = make('tr');
  const body = make('tbody');
  if (view.select) head.append(make('th', '', ''));
  view.heads.forEach((html, i) => {
    const th = make('th');
    th.align = view.right[i] ? 'right' : 'left';
    const sorter = make('button', 'mlops-sort');
    sorter.type = 'button';
    sorter.innerHTML = html;
    const mark = { 1: ' ▲', '-1': ' ▼' }[sorted === i ? direction : 0] ?? '';
    sorter.append(mark);
    th.setAttribute('aria-sort', mark ? (direction > 0 ? 'ascending' : 'descending') : 'none');
    sorter.addEventListener('click', () => {
      const wanted = sorted === i ? -direction : 1;
      if (view.asks) {
        arrange({ sort: view.columns[i], direction: wanted });
        return;
      }
      local.direction = wanted;
      local.sort = i;
      redraw(`.mlops-sort[data-column="${i}"]`);
    });
    sorter.dataset.column = i;
    th.append(sorter);
    head.append(th);
  });
  // What one can do stands beside the name: a wide table scrolls its last columns out of sight.
  if (view.action) head.children[0].after(make('th'));
  const thead = make('thead');
  thead.append(head);
  table.append(thead, body);

  const fill = () => {
    const wanted = words().toLowerCase();
    const rows = view.asks ? [...view.rows] : view.rows.filter(row => row.sort.join(' ').toLowerCase().includes(wanted));
    if (!view.asks && sorted >= 0) {
      rows.sort((a, b) => {
        const [x, y] = [a.sort[sorted], b.sort[sorted]];
        const empty = x === null || y === null;
        return compare(x, y) * (empty ? 1 : direction);
      });
    }
    body.replaceChildren(
      ...rows.map(row => {
        const tr = make('tr');
        if (view.select) {
          const box = make('input');
          box.type = 'checkbox';
          box.checked = chosen.has(row.key);
          box.setAttribute('aria-label', `Select ${row.sort[0]}`);
          box.addEventListener('change', () => {
            if (box.checked) chosen.add(row.key);
            else chosen.delete(row.key);
            update();
          });
          const td = make('td');
          td.append(box);
          tr.append(td);
        }
        row.cells.forEach((html, i) => {
          const td = make('td');
          td.align = view.right[i] ? 'right' : 'left';
          td.innerHTML = html;
          tr.append(td);
        });
        if (view.action) tr.children[0].after(actionCell(view, row, send));
        return tr;
      })
    );
    count.textContent = told(rows.length);
  };
  const told = shown => {
    const [matching, total] = view.asks ? [view.matching, view.total] : [shown, view.rows.length];
    const parts = [matching === total ? `${total.toLocaleString('en')} rows` : `${matching.toLocaleString('en')} of ${total.toLocaleString('en')} rows`];
    if (matching > shown) parts.push(`the first ${shown} are shown`);
    if (view.filter) parts.push(`where ${view.filter}`);
    if (view.note) parts.push(view.note);
    if (!matching && view.choice && /[<>]/.test(words())) parts.push('numbers are compared as metrics.x > 0.8, and Enter');
    return parts.join(' · ');
  };
  const update = () => {
    if (go) {
      go.disabled = chosen.size < 2;
      go.textContent = chosen.size < 2 ? `${view.select} (select two or more)` : `${view.select} ${chosen.size}`;
    }
  };
  filter.addEventListener('input', () => {
    local.filter = filter.value;
    clearTimeout(local.timer);
    if (query()) count.textContent = 'Enter asks the store';
    else if (view.filter) local.timer = setTimeout(() => arrange({ do: 'find', filter: '' }), 200);
    else if (view.asks) local.timer = setTimeout(() => arrange({}), 200);
    else fill();
  });
  filter.addEventListener('keydown', event => {
    if (event.key === 'Enter' && query()) arrange({ do: 'find', filter: local.filter.trim() });
  });
  if (view.choice?.length) bar.append(columnChoice(view, local, arrange));
  fill();
  update();
  const box = make('div', 'mlops-scroll');
  box.append(table);
  root.append(bar, box);
  return root;
}

function columnChoice(view, local, arrange) {
  const box = make('details', 'mlops-more');
  box.open = Boolean(local.choosing);
  box.addEventListener('toggle', () => (local.choosing = box.open));
  box.append(make('summary', '', 'Columns'));
  const list = make('div', 'mlops-choice');
  view.choice.forEach(key => {
    const tick = make('input');
    tick.type = 'checkbox';
    tick.checked = view.columns.includes(key);
    tick.addEventListener('change', () => {
      arrange({ shown: view.choice.filter(name => (name === key ? tick.checked : view.columns.includes(name))) });
    });
    const label = make('label');
    label.append(tick, ` ${key}`);
    list.append(label);
  });
  box.append(list);
  return box;
}

function actionCell(view, row, send) {
  const td = make('td');
  const act = value => send({ do: 'action', keys: [row.key], value });
  if (!view.ask) {
    td.append((view.confirm ? confirmed : button)(view.action, () => act('')));
    return td;
  }
  const open = button(`${view.action}…`, () => {
    const input = make('input', 'mlops-input');
    input.value = view.ask;
    input.size = 12;
    input.setAttribute('aria-label', 'Alias');
    input.addEventListener('keydown', event => {
      event.stopPropagation();
      if (event.key === 'Enter') act(input.value);
      if (event.key === 'Escape') td.replaceChildren(open);
    });
    td.replaceChildren(input, button(view.action, () => act(input.value)), button('Cancel', () => td.replaceChildren(open)));
    input.select();
  });
  td.append(open);
  return td;
}

function compareView(view, local) {
  const root = make('div');
  const bar = make('div', 'mlops-bar');
  const metrics = [...new Set(view.curves.map(curve => curve.metric))];
  const plot = make('div');
  if (metrics.length) {
    local.metric = metrics.includes(local.metric) ? local.metric : metrics[0];
    const choice = make('select', 'mlops-input');
    choice.setAttribute('aria-label', 'Curve');
    metrics.forEach(metric => choice.append(new Option(metric, metric, false, metric === local.metric)));
    const log = make('input');
    log.type = 'checkbox';
    const label = make('label');
    label.append(log, ' log scale');
    const draw = () => {
      local.metric = choice.value;
      plot.replaceChildren(curvePlot(view.curves.filter(c => c.metric === choice.value), log.checked));
    };
    choice.addEventListener('change', draw);
    log.addEventListener('change', draw);
    bar.append('Curve ', choice, label);
    draw();
  }
  const shown = local.groups ?? new Set(Object.keys(view.groups).filter(title => title !== 'same'));
  local.groups = shown;
  const table = make('table');
  const body = make('tbody');
  const head = make('tr');
  view.heads.forEach((html, i) => {
    const th = make('th');
    th.align = i ? 'right' : 'left';
    th.innerHTML = html;
    head.append(th);
  });
  const thead = make('thead');
  thead.append(head);
  table.append(thead, body);
  const fill = () =>
    body.replaceChildren(
      ...Object.entries(view.groups).flatMap(([title, rows]) =>
        !shown.has(title)
          ? []
          : rows.map(cells => {
              const tr = make('tr');
              cells.forEach((html, i) => {
                const td = make('td');
                td.align = i ? 'right' : 'left';
                td.innerHTML = html;
                tr.append(td);
              });
              return tr;
            })
      )
    );
  Object.entries(view.groups).forEach(([title, rows]) => {
    if (!rows.length || title === 'run') return;
    const box = make('input');
    box.type = 'checkbox';
    box.checked = shown.has(title);
    box.addEventListener('change', () => {
      if (box.checked) shown.add(title);
      else shown.delete(title);
      fill();
    });
    const label = make('label');
    label.append(box, ` ${{ metrics: 'metrics', params: 'parameters that differ', same: 'parameters that are the same' }[title]} (${rows.length})`);
    bar.append(label);
  });
  fill();
  root.append(bar, plot, table);
  if (view.more) {
    const holder = make('div');
    holder.innerHTML = view.more;
    root.append(holder);
  }
  if (view.diff) {
    const details = make('details', 'mlops-more');
    details.append(make('summary', '', 'what changed in the source'));
    const holder = make('div');
    holder.innerHTML = view.diff;
    details.append(holder);
    root.append(details);
  }
  return root;
}

function curvePlot(curves, log) {
  const [width, height, left, foot] = [620, 210, 66, 20];
  const scale = log ? Math.log10 : value => value;
  const usable = value => value !== null && Number.isFinite(scale(value));
  const points = curves.flatMap(c => c.steps.map((s, i) => [s, c.values[i]])).filter(([, v]) => usable(v));
  const box = make('div', 'mlops-plot');
  if (!points.length) {
    box.append(make('div', 'mlops-dim', log ? 'no positive values' : 'no finite values'));
    return box;
  }
  const steps = points.map(p => p[0]);
  const values = points.map(p => scale(p[1]));
  const [x0, x1] = [Math.min(...steps), Math.max(...steps)];
  const [y0, y1] = [Math.min(...values), Math.max(...values)];
  const x = step => left + ((step - x0) / (x1 - x0 || 1)) * (width - left - 12);
  const y = value => 8 + ((y1 - scale(value)) / (y1 - y0 || 1)) * (height - foot - 16);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const add = (name, attributes, text) => {
    const node = document.createElementNS(svg.namespaceURI, name);
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    if (text !== undefined) node.textContent = text;
    svg.append(node);
    return node;
  };
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('width', width);
  svg.setAttribute('height', height);
  const words = { 'font-size': 11, fill: 'currentColor', 'fill-opacity': 0.75 };
  add('path', { d: `M${left},4V${height - foot}H${width - 8}`, fill: 'none', stroke: 'currentColor', 'stroke-opacity': 0.35 });
  const written = value => Number(log ? 10 ** value : value).toPrecision(4);
  add('text', { ...words, x: left - 6, y: 14, 'text-anchor': 'end' }, written(y1));
  if (y1 > y0) add('text', { ...words, x: left - 6, y: height - foot, 'text-anchor': 'end' }, written(y0));
  add('text', { ...words, x: left, y: height - 5 }, `step ${x0}`);
  add('text', { ...words, x: width - 8, y: height - 5, 'text-anchor': 'end' }, x1);
  curves.forEach(c => {
    const path = c.steps.map((s, i) => (usable(c.values[i]) ? `${x(s).toFixed(1)},${y(c.values[i]).toFixed(1)}` : null));
    add('polyline', { points: path.filter(Boolean).join(' '), fill: 'none', stroke: c.colour, 'stroke-width': 1.7 });
  });
  const line = add('line', { y1: 4, y2: height - foot, stroke: 'currentColor', 'stroke-opacity': 0.4, visibility: 'hidden' });
  const legend = make('div', 'mlops-legend');
  const entries = curves.map(c => {
    const entry = make('span');
    const dot = make('span', '', '● ');
    dot.style.color = c.colour;
    const text = make('span', '', c.run);
    entry.append(dot, text);
    legend.append(entry);
    return { c, text };
  });
  svg.addEventListener('pointermove', event => {
    const at = (event.offsetX * width) / svg.clientWidth;
    const nearest = steps.reduce((best, s) => (Math.abs(x(s) - at) < Math.abs(x(best) - at) ? s : best), steps[0]);
    line.setAttribute('x1', x(nearest));
    line.setAttribute('x2', x(nearest));
    line.setAttribute('visibility', 'visible');
    entries.forEach(({ c, text }) => {
      const value = c.values[c.steps.indexOf(nearest)];
      text.textContent = `${c.run}${value === undefined || value === null ? '' : ` ${value.toPrecision(5)}`}`;
    });
  });
  svg.addEventListener('pointerleave', () => {
    line.setAttribute('visibility', 'hidden');
    entries.forEach(({ c, text }) => (text.textContent = c.run));
  });
  box.append(svg, legend);
  return box;
}

function htmlView(view, send) {
  const root = make('div');
  const holder = make('div');
  holder.innerHTML = view.html;
  root.append(holder);
  if (view.refresh) root.append(button('Refresh', () => send({ do: 'refresh' })));
  return root;
}

// Each section keeps what was typed, sorted and opened in it when the panel is drawn anew.
function panelView(view, local, send, redraw) {
  const root = make('div');
  const head = make('div');
  head.innerHTML = view.head;
  root.append(head);
  local.sections ??= {};
  view.sections.forEach(section => {
    const own = (local.sections[section.key] ??= { filter: '', chosen: new Set(), direction: 1, open: section.count > 0 });
    const box = make('details', 'mlops-section');
    box.open = own.open;
    box.addEventListener('toggle', () => (own.open = box.open));
    const summary = make('summary');
    summary.append(make('b', '', section.title), ` ${section.count}`);
    box.dataset.section = section.key;
    const tell = content => send({ ...content, section: section.key });
    const again = focus => redraw(focus && `[data-section="${section.key}"] ${focus}`);
    box.append(summary, viewOf(section.view, own, tell, again));
    root.append(box);
  });
  root.append(button('Refresh', () => send({ do: 'refresh' })));
  return root;
}

function viewOf(view, local, send, redraw) {
  if (view.kind === 'table') return tableView(view, local, send, redraw);
  if (view.kind === 'compare') return compareView(view, local);
  return view.kind === 'panel' ? panelView(view, local, send, redraw) : htmlView(view, send);
}

function render({ model, el }) {
  const local = { filter: '', chosen: new Set(), direction: 1 };
  const root = make('div', 'mlops mlops-live');
  const main = make('div');
  const error = make('div', 'mlops-error');
  error.setAttribute('role', 'alert');
  const below = make('div', 'mlops-below');
  root.append(main, error, below);
  el.append(root);
  const send = content => model.send(content);
  const redraw = focus => {
    main.replaceChildren(viewOf(model.get('view'), local, send, redraw));
    if (typeof focus === 'string') main.querySelector(focus)?.focus();
  };
  const tell = () => {
    error.textContent = model.get('error');
    below.innerHTML = model.get('below');
    root.classList.toggle('mlops-waiting', model.get('busy'));
  };
  // JupyterLab reads letters typed into an output as commands unless they stop here.
  root.addEventListener('keydown', event => {
    if (event.target instanceof HTMLInputElement) event.stopPropagation();
  });
  // Who was typing goes on typing where they were.
  const onView = () => {
    const active = el.getRootNode().activeElement;
    const column = main.contains(active) ? active.dataset.column : undefined;
    const caret = main.contains(active) && active.type === 'search' ? active.selectionStart : null;
    const top = main.querySelector('.mlops-choice')?.scrollTop ?? 0;
    redraw(column === undefined ? undefined : `.mlops-sort[data-column="${column}"]`);
    main.querySelector('.mlops-choice')?.scrollTo(0, top);
    const again = caret === null ? null : main.querySelector('input[type=search]');
    again?.focus();
    again?.setSelectionRange(caret, caret);
  };
  model.on('change:view', onView);
  model.on('change:error change:below change:busy', tell);
  redraw();
  tell();
  return () => {
    model.off('change:view', onView);
    model.off('change:error change:below change:busy', tell);
  };
}

export default { render };
