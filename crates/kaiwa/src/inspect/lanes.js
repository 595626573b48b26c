'use strict';
// The time line: lanes on a canvas, everything in them under the pointer.

/** Peaks, voice, turns, answers, jobs and events over time, in `canvas`. */
function timeLine(story, canvas, tip, play) {
  const context = canvas.getContext('2d');
  const whole = Math.max(story.length_ms, 1000);
  const view = { from: 0, to: whole };
  const outcomes = { kept: 'kept', stopped: 'stopped', discarded: 'discarded', failed: 'failed', open: 'not done' };
  const kinds = ['transcribe', 'judge', 'prime', 'generate', 'speak', 'tools', 'other'];
  const names = { transcribe: 'Transcribe', judge: 'Judge turn', prime: 'Prime', generate: 'Generate', speak: 'Speak', tools: 'Tools', other: 'Other' };
  const rows = packed();
  let colours = {}, width = 0, gutter = 0, head = 0, boxes = [], drawn = 0;

  /** Jobs of a kind in rows, so that none covers another. */
  function packed() {
    const rows = {};
    for (const job of story.jobs) {
      const of = rows[job.kind] ??= [];
      const end = job.to ?? whole;
      const row = of.findIndex(row => row.end <= job.from);
      if (row < 0) of.push({ end, jobs: [job] });
      else { of[row].end = end; of[row].jobs.push(job); }
    }
    return rows;
  }

  const span = () => view.to - view.from;
  const x = at => gutter + (at - view.from) / span() * (width - gutter);
  const time = px => view.from + (px - gutter) / (width - gutter) * span();

  function lanes() {
    const list = [
      { height: 24, draw: ruler },
      { name: 'You', height: 64, draw: y => wave(story.user, y, 64, 'user') },
      { name: 'Turns', height: 24, draw: turns },
      { name: 'Assistant', height: 64, draw: y => wave(story.assistant, y, 64, 'assistant') },
      { name: 'Answers', height: 24, draw: answers },
    ];
    if (story.voice.length) list.splice(2, 0, { name: 'Speech', height: 36, draw: voice });
    for (const kind of kinds.filter(kind => rows[kind])) {
      const of = rows[kind];
      list.push({ name: names[kind], height: 17 * of.length + 5, draw: y => of.forEach((row, n) => row.jobs.forEach(job => bar(job, y + 2 + 17 * n))) });
    }
    list.push({ name: 'Client says', height: 20, draw: y => ticks(true, y) });
    list.push({ name: 'Server says', height: 20, draw: y => ticks(false, y) });
    return list;
  }

  function draw() {
    drawn = 0;
    const style = getComputedStyle(document.documentElement);
    for (const name of ['panel', 'ink', 'muted', 'line', 'soft', 'user', 'user-soft', 'assistant', 'assistant-soft', 'kept', 'stopped', 'discarded', 'failed', 'open']) {
      colours[name] = style.getPropertyValue('--' + name).trim();
    }
    const all = lanes();
    const scale = window.devicePixelRatio || 1;
    width = canvas.clientWidth;
    // Where there is no room beside a lane, its name stands above it.
    gutter = width >= 640 ? 92 : 0;
    head = gutter ? 0 : 14;
    const height = all.reduce((sum, lane) => sum + lane.height + (lane.name ? head : 0) + 4, 0);
    canvas.style.height = height + 'px';
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.textBaseline = 'middle';
    boxes = [];
    let y = 0;
    for (const lane of all) {
      if (lane.name) {
        label(lane.name, y, lane.height);
        y += head;
      }
      context.save();
      context.beginPath();
      context.rect(gutter, y, width - gutter, lane.height);
      context.clip();
      lane.draw(y, lane.height);
      context.restore();
      y += lane.height + 4;
    }
    for (const turn of story.turns) {
      if (turn.decided != null) decision(x(turn.decided), height);
    }
  }

  function redraw() {
    if (!drawn) drawn = requestAnimationFrame(draw);
  }

  function label(name, y, height) {
    context.font = (gutter ? '12px' : '11px') + ' system-ui, sans-serif';
    context.textAlign = 'left';
    context.fillStyle = colours.muted;
    context.fillText(name, 0, y + (gutter ? height / 2 : 7));
  }

  function ruler(y) {
    const steps = [50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000, 300000, 600000];
    const step = steps.find(step => step / span() * (width - gutter) >= 68) ?? 1800000;
    context.font = '11px system-ui, sans-serif';
    context.textAlign = 'left';
    for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
      context.fillStyle = colours.line;
      context.fillRect(Math.round(x(at)), y + 4, 1, 20);
      context.fillStyle = colours.muted;
      context.fillText(clockOf(at, step), x(at) + 5, y + 11);
    }
  }

  function wave(peaks, y, height, colour) {
    context.fillStyle = colours.soft;
    context.fillRect(gutter, y, width - gutter, height);
    const middle = y + height / 2, half = height / 2 - 2;
    context.fillStyle = colours[colour];
    const count = peaks.length / 2;
    // Quiet speech is to be seen too: the louder a sample, the less is added to it.
    const shown = peak => Math.sign(peak) * Math.pow(Math.abs(peak) / 127, .7) * half;
    for (let px = gutter; px < width; px++) {
      let first = Math.floor(time(px) / story.peak_ms);
      const last = Math.max(first + 1, Math.floor(time(px + 1) / story.peak_ms));
      let low = 0, high = 0;
      for (first = Math.max(first, 0); first < Math.min(last, count); first++) {
        low = Math.min(low, peaks[2 * first]);
        high = Math.max(high, peaks[2 * first + 1]);
      }
      const top = middle - shown(high);
      context.fillRect(px, top, 1, Math.max(1, middle - shown(low) - top));
    }
  }

  function voice(y, height) {
    const at = p => y + height - 2 - p / 100 * (height - 4);
    context.strokeStyle = colours.line;
    context.setLineDash([3, 4]);
    context.beginPath();
    context.moveTo(gutter, at(50));
    context.lineTo(width, at(50));
    context.stroke();
    context.setLineDash([]);
    // Of the frames in a pixel the surest is shown.
    const columns = new Map();
    for (const [from, p] of story.voice) {
      const px = Math.round(x(from + 16));
      if (px >= gutter - 40 && px <= width + 40) columns.set(px, Math.max(p, columns.get(px) ?? 0));
    }
    const points = [...columns].sort((one, other) => one[0] - other[0]);
    if (!points.length) return;
    context.beginPath();
    points.forEach(([px, p], n) => n ? context.lineTo(px, at(p)) : context.moveTo(px, at(p)));
    context.strokeStyle = colours.user;
    context.lineWidth = 1.5;
    context.stroke();
    context.lineWidth = 1;
    context.lineTo(points.at(-1)[0], y + height);
    context.lineTo(points[0][0], y + height);
    context.globalAlpha = .18;
    context.fillStyle = colours.user;
    context.fill();
    context.globalAlpha = 1;
    boxes.push({ x: gutter, y, w: width - gutter, h: height, tell: px => {
      const frame = Math.floor((time(px) - story.voice[0][0]) / 32);
      const near = story.voice[Math.min(Math.max(frame, 0), story.voice.length - 1)];
      return ['Probability of speech', near[1] + ' %'];
    } });
  }

  function turns(y) {
    story.turns.forEach((turn, n) => {
      const from = x(turn.from), to = Math.max(x(turn.to), from + 3);
      block(from, y + 2, to - from, 20, 'user', 'kept', turn.typed ? '\u2328 ' + turn.text : turn.text);
      let w = to - from;
      if (turn.decided != null && x(turn.decided) > to) {
        w = x(turn.decided) - from;
        hatch(to, y + 2, x(turn.decided) - to, 20, 'user');
      }
      const waited = turn.decided == null ? '' : ' Decided after ' + Math.round(turn.decided - turn.to) + ' ms.';
      boxes.push({ x: from, y, w, h: 24, turn: n, tell: () => ['Turn ' + (n + 1) + (turn.typed ? ' (typed)' : ''), turn.text + waited] });
    });
  }

  function answers(y) {
    const audible = story.answers.filter(answer => answer.from != null);
    audible.forEach((answer, n) => {
      const end = answer.to ?? story.length_ms;
      const from = x(answer.from), to = Math.max(x(end), from + 3);
      block(from, y + 2, to - from, 20, 'assistant', 'kept', answer.text);
      let w = to - from, told = answer.text;
      if (answer.heard) {
        // What was not heard would have gone on until here, if nothing else had been said.
        const would = end + answer.heard.received_ms - answer.heard.ms;
        const rest = x(Math.min(would, audible[n + 1]?.from ?? whole)) - to - 2;
        if (rest > 1) hatch(to, y + 2, rest, 20, 'assistant');
        w += Math.max(rest, 0);
        told = 'Heard for ' + seconds(answer.heard.ms) + ' of the ' + seconds(answer.heard.received_ms) + ' that had come: ' + told;
      }
      boxes.push({ x: from, y, w, h: 24, turn: answer.turn, tell: () => ['Answer', told] });
    });
  }

  function bar(job, y) {
    const from = x(job.from), to = Math.max(x(job.to ?? whole), from + 2);
    const text = job.kind === 'speak' ? job.asked.replace(/^\u201c|\u201d as [^\u201d]*$/g, '') : job.said;
    const sign = { stopped: '\u25a0 ', discarded: '\u2715 ', failed: '! ', open: '\u2026 ', kept: '' }[job.outcome];
    // The words begin where the engine's do.
    const notch = job.first != null && to - from > 6 ? Math.round(x(job.first)) : null;
    block(from, y, to - from, 15, job.outcome, job.outcome, sign + text, notch);
    if (notch != null) {
      context.fillStyle = colours.panel;
      context.fillRect(notch, y, 1.5, 15);
    }
    boxes.push({ x: from, y: y - 1, w: to - from, h: 17, tell: () => [
      names[job.kind] + ' \u2013 ' + outcomes[job.outcome] + ', ' + (job.to == null ? 'not done' : Math.round(job.to - job.from) + ' ms') +
        (job.first == null ? '' : ', first after ' + Math.round(job.first - job.from) + ' ms'),
      [job.asked, job.said].filter(Boolean).join(' \u2192 '),
    ] });
  }

  function ticks(sent, y) {
    const colour = sent ? colours.user : colours.assistant;
    for (const event of story.events) {
      if (event.sent !== sent) continue;
      const px = x(event.at);
      if (px < gutter - 2 || px > width + 2) continue;
      const isDelta = event.kind.endsWith('.delta');
      context.fillStyle = colour;
      context.globalAlpha = isDelta ? .35 : 1;
      context.fillRect(px - .75, isDelta ? y + 8 : y + 3, 1.5, isDelta ? 8 : 14);
      context.globalAlpha = 1;
      boxes.push({ x: px - 3, y, w: 6, h: 20, tell: () => [event.kind, seconds(event.at) + (isDelta ? '' : '  ' + event.what.slice(0, 240))] });
    }
  }

  /** A vertical line through all lanes where a turn was decided to be over. */
  function decision(px, height) {
    if (px < gutter || px > width) return;
    context.strokeStyle = colours.ink;
    context.globalAlpha = .55;
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(Math.round(px) + .5, 24);
    context.lineTo(Math.round(px) + .5, height);
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
    context.fillStyle = colours.ink;
    context.beginPath();
    context.moveTo(px - 4, 19);
    context.lineTo(px + 4, 19);
    context.lineTo(px, 25);
    context.fill();
  }

  /** A bar: solid when it came to something, hatched and outlined when it did not. */
  function block(left, y, w, h, colour, outcome, text, textFrom) {
    if (left + w < gutter || left > width) return;
    const solid = outcome === 'kept';
    context.fillStyle = colours[solid ? colour : 'panel'];
    if (colour === 'user' || colour === 'assistant') context.fillStyle = colours[colour + '-soft'];
    context.beginPath();
    context.roundRect(left, y, w, h, 3);
    context.fill();
    if (!solid) hatch(left, y, w, h, colour);
    if (solid && (colour === 'user' || colour === 'assistant')) {
      context.strokeStyle = colours[colour];
      context.stroke();
    }
    const start = Math.max(textFrom ?? left, gutter) + 5, room = Math.min(left + w, width) - start - 4;
    if (room < 18 || !text) return;
    context.save();
    context.beginPath();
    context.rect(start - 3, y, room + 5, h);
    context.clip();
    context.font = h < 18 ? '11px system-ui, sans-serif' : '12.5px system-ui, sans-serif';
    context.textAlign = 'left';
    if (!solid) {
      context.fillStyle = colours.panel;
      context.fillRect(start - 3, y + 2, Math.min(context.measureText(text).width, room) + 6, h - 4);
    }
    const onColour = solid && colour === 'kept';
    context.fillStyle = onColour ? colours.panel : solid ? colours.ink : colours[colour];
    context.fillText(text, start, y + h / 2 + .5);
    context.restore();
  }

  function hatch(left, y, w, h, colour) {
    context.save();
    context.beginPath();
    context.roundRect(left, y, w, h, 3);
    context.strokeStyle = colours[colour];
    context.stroke();
    context.clip();
    context.globalAlpha = .6;
    context.beginPath();
    const first = Math.max(left, gutter - h), last = Math.min(left + w, width);
    for (let px = first - h - (first - left) % 6; px < last; px += 6) {
      context.moveTo(px, y + h);
      context.lineTo(px + h, y);
    }
    context.stroke();
    context.restore();
  }

  function zoom(factor, at = (view.from + view.to) / 2) {
    const length = Math.min(Math.max(span() * factor, 200), whole);
    const part = (at - view.from) / span();
    move(at - part * length, length);
  }

  function move(from, length = span()) {
    view.from = Math.min(Math.max(from, 0), Math.max(whole - length, 0));
    view.to = view.from + length;
    redraw();
    moved();
  }

  let moved = () => {};
  const found = (px, py) => boxes.findLast(box => px >= box.x && px <= box.x + box.w && py >= box.y && py <= box.y + box.h);

  function show(event) {
    const box = found(event.offsetX, event.offsetY);
    tip.hidden = !box;
    if (!box) return;
    const [title, text] = box.tell(event.offsetX);
    tip.replaceChildren(element('b', title), text);
    const left = Math.min(event.offsetX + 14, width - tip.offsetWidth - 4);
    const below = event.offsetY + 18;
    const top = below + tip.offsetHeight > canvas.clientHeight ? event.offsetY - tip.offsetHeight - 10 : below;
    tip.style.transform = `translate(${Math.max(left, 0)}px, ${Math.max(top, 0)}px)`;
  }

  let held = null;
  canvas.addEventListener('pointerdown', event => {
    held = { px: event.clientX, from: view.from, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', event => {
    if (!held) return show(event);
    const distance = event.clientX - held.px;
    held.moved ||= Math.abs(distance) > 4;
    if (held.moved) {
      tip.hidden = true;
      move(held.from - distance / (width - gutter) * span());
    }
  });
  canvas.addEventListener('pointerup', event => {
    const wasMoved = held?.moved;
    held = null;
    if (wasMoved || event.offsetX < gutter) return;
    const box = found(event.offsetX, event.offsetY);
    play(box?.turn ?? null, time(event.offsetX));
  });
  canvas.addEventListener('pointercancel', () => { held = null; });
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
  canvas.addEventListener('wheel', event => {
    event.preventDefault();
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) move(view.from + sideways / width * span());
    else zoom(Math.exp(event.deltaY * .0016), time(event.offsetX));
  }, { passive: false });
  new ResizeObserver(redraw).observe(canvas);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);

  /** A bar of each outcome, for the legend. */
  function sample(outcome, canvas) {
    const scale = 2;
    [canvas.width, canvas.height] = [26 * scale, 12 * scale];
    const own = canvas.getContext('2d');
    own.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    own.strokeStyle = own.fillStyle = style.getPropertyValue('--' + outcome);
    own.beginPath();
    own.roundRect(.5, .5, 25, 11, 3);
    if (outcome === 'kept') return own.fill();
    own.stroke();
    own.clip();
    own.globalAlpha = .6;
    own.beginPath();
    for (let px = -8; px < 26; px += 6) {
      own.moveTo(px, 12);
      own.lineTo(px + 12, 0);
    }
    own.stroke();
  }

  draw();
  return {
    zoom, move, view, whole, x, sample, outcomes, names,
    bounds: () => [gutter, width],
    whenMoved: act => { moved = act; },
  };
}
