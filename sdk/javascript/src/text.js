// UTF-8 to strings and back, a column at a time.
//
// The rule: nothing loops over bytes where the engine has a native function that does. QuickJS has no TextDecoder, but Base64 both ways
// and `decodeURIComponent(escape(...))`, which together are ten times as fast as a loop.
// Left to others: which cells are null (`readers.js`, `builders.js`).

const decoder = typeof TextDecoder === 'function' ? new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }) : null;
const encoder = typeof TextEncoder === 'function' ? new TextEncoder() : null;
const base64 = typeof Uint8Array.fromBase64 === 'function' && typeof atob === 'function';
const CHUNK = 8192;

/** Each byte as a character of the same number. */
function latin1(bytes) {
  if (base64) return atob(bytes.toBase64());
  if (bytes.length <= CHUNK) return String.fromCharCode.apply(null, bytes);
  const parts = [];
  for (let at = 0; at < bytes.length; at += CHUNK) parts.push(String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK)));
  return parts.join('');
}

const beyondAscii = /[^\x00-\x7f]/;

/** Whether every byte is ASCII: sixteen at a time, which is twice as fast as a regular expression over the string. */
function isAscii(bytes) {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
  const end = words.length & ~3;
  let seen = 0;
  for (let index = 0; index < end; ) seen |= words[index++] | words[index++] | words[index++] | words[index++];
  for (let index = end << 2; index < aligned.length; index++) seen |= aligned[index];
  return (seen & 0x80808080) === 0;
}

/** The bytes of a string that is ASCII, or null. */
function asciiBytes(text) {
  if (!base64) return beyondAscii.test(text) ? null : encode(text);
  try {
    const bytes = Uint8Array.fromBase64(btoa(text));
    return isAscii(bytes) ? bytes : null;
  } catch {
    // A character beyond Latin-1.
    return null;
  }
}

export function decode(bytes) {
  if (decoder !== null) return decoder.decode(bytes);
  const raw = latin1(bytes);
  return beyondAscii.test(raw) ? decodeURIComponent(escape(raw)) : raw;
}

export function encode(text) {
  if (encoder !== null) return encoder.encode(text);
  const raw = beyondAscii.test(text) ? unescape(encodeURIComponent(text.toWellFormed())) : text;
  if (base64) return Uint8Array.fromBase64(btoa(raw));
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

/** A column of UTF-8 as a function from the number of a cell to its string. The work is done when the first cell is read. */
export function reader(column) {
  const { data, offsets } = column;
  let whole = null;
  let ascii = true;
  return (index) => {
    if (whole === null) {
      const all = bytes(data);
      whole = latin1(all);
      ascii = isAscii(all);
    }
    const cell = whole.slice(offsets[index], offsets[index + 1]);
    return ascii || !beyondAscii.test(cell) ? cell : decodeURIComponent(escape(cell));
  };
}

/** Strings as a column of UTF-8. */
export function column(cells) {
  const whole = cells.join('');
  const offsets = new Uint32Array(cells.length + 1);
  let end = 0;
  const data = asciiBytes(whole);
  if (data !== null) {
    for (let index = 0; index < cells.length; index++) offsets[index + 1] = end += cells[index].length;
    return { data, offsets };
  }
  const parts = cells.map(encode);
  return join(parts, offsets);
}

/** Byte strings as a column. */
export function bytesColumn(parts) {
  return join(parts, new Uint32Array(parts.length + 1));
}

function join(parts, offsets) {
  let end = 0;
  for (let index = 0; index < parts.length; index++) offsets[index + 1] = end += parts[index].length;
  const data = new Uint8Array(end);
  for (let index = 0; index < parts.length; index++) if (parts[index].length > 0) data.set(parts[index], offsets[index]);
  return { data, offsets };
}

/** The bytes of a list<u8>, whatever the engine gives it as. */
export function bytes(data) {
  return data instanceof Uint8Array ? data : Uint8Array.from(data);
}

export const ABSENT = { data: new Uint8Array(0), offsets: [] };

/** Number of cells of a column of byte strings. */
export const cells = (column) => Math.max(0, column.offsets.length - 1);
