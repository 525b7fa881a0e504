// What the demo says, in the look of `muster demo`: each line of a task behind the task's name.

const isColored = process.stdout.isTTY && !process.env.NO_COLOR;
const style = (/** @type {number} */ code) => (/** @type {string} */ text) => (isColored ? `\x1b[${code}m${text}\x1b[0m` : text);

export const bold = style(1);
export const dim = style(2);
export const good = style(32);
export const bad = style(31);
export const warn = style(33);
const lanes = [style(34), style(35), style(33)];

// it goes on when nobody reads it any more
process.stdout.on("error", () => {});

export function say(/** @type {string} */ line) {
  console.log(line);
}

/**
 * How the lines of these tasks are said.
 * @param {string[]} titles
 */
export function lanesOf(titles) {
  const width = Math.max(...titles.map((title) => title.length));
  return (/** @type {string} */ title) => {
    const name = lanes[titles.indexOf(title) % lanes.length]?.(`${title.padEnd(width)} │`);
    return (/** @type {string} */ line, /** @type {boolean} */ isRemark) => say(`${name} ${isRemark ? dim(plain(line)) : plain(line)}`);
  };
}

/** What somebody else wrote, without what could steer a terminal. */
const plain = (/** @type {string} */ text) => text.replace(/\x1b\[[0-9;]*m/g, "").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");

/** @param {number} milliseconds `0.4 s`, `3 min 5 s` */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

/** @param {number} number @param {string} one */
export function count(number, one) {
  return `${number} ${one}${number === 1 ? "" : "s"}`;
}
