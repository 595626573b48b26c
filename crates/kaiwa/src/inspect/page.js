'use strict';
// The page around the time line: playing, what was said, tables.

const story = JSON.parse(document.getElementById('story').textContent);
const sound = document.getElementById('sound');
const at = id => document.getElementById(id);

function element(name, text, className) {
  const made = document.createElement(name);
  if (text != null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Milliseconds from the end of a turn's speech to a step of its answer, if it was reached. */
function waited(turn, step) {
  const reached = turn.steps?.[step];
  return reached == null ? null : Math.round(reached - turn.to);
}

function seconds(ms) {
  // What came before the sound by a moment began with it.
  return (Math.max(ms, 0) / 1000).toFixed(ms < 10000 ? 2 : 1) + ' s';
}

function clockOf(ms, step) {
  const whole = Math.floor(ms / 60000);
  const rest = (ms % 60000 / 1000).toFixed(step < 1000 ? step < 100 ? 2 : 1 : 0);
  return whole ? whole + ':' + rest.padStart(step < 1000 ? 4 : 2, '0') : rest + ' s';
}

// Playing.

let until = null;
let playing = null;
const items = [];

function playFrom(ms, end = null, turn = null) {
  until = end;
  playing = turn;
  sound.currentTime = Math.max(ms, 0) / 1000;
  sound.play().catch(() => {});
  follow();
}

/** Where a turn begins, and where the answer to it ends. */
function stretch(index) {
  const turn = story.turns[index];
  const ends = story.answers.filter(answer => answer.turn === index && answer.to != null).map(answer => answer.to);
  return [turn.from - 250, Math.max(turn.decided ?? turn.to, turn.to, ...ends) + 250];
}

function playTurn(index) {
  const [from, end] = stretch(index);
  playFrom(from, end, index);
}

const line = timeLine(story, at('lanes'), at('tip'), (turn, ms) => turn == null ? playFrom(ms) : playTurn(turn));

function follow() {
  const ms = sound.currentTime * 1000;
  if (until != null && ms >= until) {
    sound.pause();
    until = null;
  }
  place();
  items.forEach((item, index) => item.classList.toggle('playing', index === playing && !sound.paused));
  if (sound.paused) return;
  if (ms > line.view.to || ms < line.view.from) line.move(ms - (line.view.to - line.view.from) * .1);
  requestAnimationFrame(follow);
}

function place() {
  const ms = sound.currentTime * 1000;
  const px = line.x(ms);
  const [left, right] = line.bounds();
  const cursor = at('cursor');
  cursor.style.visibility = px >= left && px <= right && (ms > 0 || !sound.paused) ? 'visible' : 'hidden';
  cursor.style.transform = `translateX(${px}px)`;
  at('clock').textContent = seconds(ms) + ' / ' + seconds(story.length_ms);
}

function toggle() {
  until = null;
  if (sound.paused) sound.play().catch(() => {});
  else sound.pause();
}

line.whenMoved(place);
sound.addEventListener('play', () => { at('play').textContent = 'Pause'; follow(); });
sound.addEventListener('pause', () => { at('play').textContent = 'Play'; follow(); });
sound.addEventListener('seeked', place);
at('play').addEventListener('click', toggle);
at('in').addEventListener('click', () => line.zoom(1 / 1.6));
at('out').addEventListener('click', () => line.zoom(1.6));
at('all').addEventListener('click', () => line.move(0, line.whole));
at('lanes').addEventListener('keydown', event => {
  const length = line.view.to - line.view.from;
  const acts = {
    ' ': toggle,
    '+': () => line.zoom(1 / 1.6),
    '=': () => line.zoom(1 / 1.6),
    '-': () => line.zoom(1.6),
    '0': () => line.move(0, line.whole),
    'ArrowLeft': () => line.move(line.view.from - length / 5),
    'ArrowRight': () => line.move(line.view.from + length / 5),
    'Home': () => line.move(0),
    'End': () => line.move(line.whole),
  };
  if (acts[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    acts[event.key]();
  }
});

// In short.

function facts() {
  const cut = story.answers.filter(answer => answer.heard).length;
  const waits = story.turns.map(turn => waited(turn, 'audible')).filter(ms => ms != null).sort((one, other) => one - other);
  const dropped = story.jobs.filter(job => job.outcome === 'discarded').length;
  const list = [
    ['', seconds(story.length_ms)],
    [story.turns.length === 1 ? 'turn' : 'turns', story.turns.length],
    [cut === 1 ? 'interruption' : 'interruptions', cut],
  ];
  if (waits.length) list.push(['until the answer is heard (median)', seconds(waits[Math.floor((waits.length - 1) / 2)])]);
  if (story.has_journal) list.push(['jobs, ' + dropped + ' of them discarded', story.jobs.length]);
  else list.push(['server elsewhere: its jobs are not known', '']);
  if (!story.real_time) list.push(['fed faster than speech: times mean little', '']);
  list.push(['kaiwa ' + story.kaiwa, '']);
  for (const [text, number] of list) {
    const item = element('li');
    if (number !== '') item.append(element('b', number), ' ');
    item.append(text);
    at('facts').append(item);
  }
}

function legend() {
  const present = Object.keys(line.outcomes).filter(outcome => story.jobs.some(job => job.outcome === outcome));
  const meaning = {
    kept: 'kept',
    stopped: 'stopped: \u25a0 the user cut in',
    discarded: 'discarded: \u2715 made ahead for a turn that went on',
    failed: 'failed: !',
    open: 'not done: \u2026',
  };
  for (const outcome of present) {
    const item = element('li'), mark = element('canvas');
    line.sample(outcome, mark);
    item.append(mark, meaning[outcome]);
    at('legend').append(item);
  }
  at('legend').append(element('li', '\u25be the turn is over'));
}

// What was said.

function said() {
  const answered = story.turns.map(() => []);
  const alone = [];
  for (const answer of story.answers) {
    if (answer.turn == null) alone.push(answer);
    else answered[answer.turn].push(answer);
  }
  if (alone.length) {
    const item = element('li', null, 'turn'), words = element('div');
    alone.forEach(answer => words.append(answerLine(answer)));
    item.append(element('div', null, 'side'), words);
    at('turns').append(item);
  }
  story.turns.forEach((turn, index) => {
    const item = element('li', null, 'turn'), side = element('div', null, 'side'), words = element('div');
    const button = element('button', 'Play');
    button.type = 'button';
    button.setAttribute('aria-label', 'Play turn ' + (index + 1));
    button.addEventListener('click', () => playTurn(index));
    side.append(element('span', (index + 1) + ' \u00b7 ' + seconds(turn.from), 'when'), button);
    const yours = element('p', null, 'line you');
    yours.append(element('span', 'You', 'who'), turn.text.trim() || '(nothing was understood)');
    if (turn.typed) yours.append(element('span', 'typed', 'mark'));
    words.append(yours);
    answered[index].forEach(answer => words.append(answerLine(answer)));
    item.append(side, words);
    at('turns').append(item);
    items.push(item);
  });
  if (!story.turns.length && !alone.length) at('turns').append(element('li', 'Nothing.', 'hint'));
}

function answerLine(answer) {
  const made = element('p', null, 'line assistant');
  made.append(element('span', 'Assistant', 'who'));
  const text = answer.text.trim(), heard = answer.heard?.text.trim();
  if (answer.heard) {
    const begins = text.startsWith(heard);
    made.append(begins ? heard : text, element('span', 'cut off after ' + seconds(answer.heard.ms) + (begins ? ', not heard:' : ''), 'mark cut'));
    if (begins) made.append(element('span', text.slice(heard.length).trimStart(), 'unheard'));
  } else {
    made.append(text || '(no words)');
  }
  if (answer.status === 'failed' || answer.status === 'incomplete') {
    made.append(element('span', answer.status + (answer.reason ? ': ' + answer.reason : ''), 'mark bad'));
  } else if (answer.status === 'cancelled' && !answer.heard) {
    made.append(element('span', 'cancelled' + (answer.reason ? ': ' + answer.reason.replaceAll('_', ' ') : ''), 'mark cut'));
  }
  return made;
}

// Tables.

function row(table, cells, name = 'td') {
  const made = element('tr');
  for (const [text, className] of cells) {
    const cell = element(name, null, className);
    cell.append(text ?? '');
    made.append(cell);
  }
  table.append(made);
}

function waits() {
  const table = at('waits');
  const steps = [
    ['decided', 'turn over', '--user'],
    ['transcript', 'transcript', '--open'],
    ['first_text', 'first text', '--stopped'],
    ['first_audio', 'first sound', '--assistant'],
    ['audible', 'audible', '--kept'],
  ];
  const measured = story.turns.map((turn, index) => [turn, index]).filter(([turn]) => turn.steps);
  if (!measured.length) {
    const why = story.real_time ? 'No answer was heard.' : 'Nothing is measured when the conversation is fed faster than speech.';
    table.replaceWith(element('p', why, 'hint'));
    return;
  }
  const heading = ([, title, colour]) => {
    const name = element('span'), mark = element('i', null, 'swatch');
    mark.style.background = `var(${colour})`;
    name.append(mark, title);
    return [name, 'n'];
  };
  row(table, [['Turn'], ...steps.map(heading), ['']], 'th');
  const longest = Math.max(...measured.map(([turn]) => waited(turn, 'audible')), 1);
  for (const [turn, index] of measured) {
    const strip = element('div', null, 'steps');
    let before = 0;
    for (const [name, title, colour] of steps) {
      const reached = waited(turn, name);
      if (reached == null || reached <= before) continue;
      const part = element('i');
      part.style.width = (reached - before) / longest * 100 + '%';
      part.style.background = `var(${colour})`;
      part.title = title + ': ' + reached + ' ms';
      strip.append(part);
      before = reached;
    }
    const cells = steps.map(([name]) => [waited(turn, name) ?? '\u2013', name === 'audible' ? 'n total' : 'n']);
    row(table, [[(index + 1) + (turn.typed ? ' (typed)' : '')], ...cells, [strip]]);
  }
}

function notices() {
  at('notes').hidden = !story.notices.length;
  for (const notice of story.notices) at('notices').append(element('li', seconds(notice.at) + '  ' + notice.text));
}

/** Long tables are made when they are looked at. */
function whenOpened(id, make) {
  at(id).addEventListener('toggle', make, { once: true });
}

facts();
legend();
said();
waits();
notices();
at('work').hidden = !story.has_journal;
whenOpened('work', () => {
  const table = at('jobs');
  row(table, [['Asked at'], ['Kind'], ['Outcome'], ['Took', 'n'], ['First', 'n'], ['What']], 'th');
  for (const job of story.jobs) {
    const since = time => time == null ? '\u2013' : Math.round(time - job.from) + ' ms';
    row(table, [[seconds(job.from)], [line.names[job.kind]], [line.outcomes[job.outcome], job.outcome],
      [since(job.to), 'n'], [since(job.first), 'n'], [[job.asked, job.said].filter(Boolean).join(' \u2192 '), 'text']]);
  }
});
whenOpened('protocol', () => {
  const table = at('events');
  row(table, [['At'], ['From'], ['Event'], ['']], 'th');
  for (const event of story.events) {
    row(table, [[seconds(event.at)], [event.sent ? 'client' : 'server'], [event.kind], [event.what, 'text']]);
  }
});
const address = JSON.parse(at('address').textContent);
if (!address.startsWith('data:')) document.querySelector('footer').textContent = 'The sound is played from ' + address + ': keep both together. Nobody else is asked for anything.';
sound.src = address;
place();
