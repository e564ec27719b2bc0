// Plugins as TypeScript authors write them: that they compile, and that mistakes do not.
//
// The rule: each `@ts-expect-error` is a mistake that the compiler must find.

import { aggregator, bigint, enricher, eventTime, float64, int64, json, keyed, list, older, optional, Reject, stateful, table, text, transformer } from '@pelton/sdk';
import { run } from '@pelton/sdk/testing';

const sales = transformer({
  name: 'sales',
  config: { least: { type: 'number', default: 0 } },
  input: { ad: text, amount: optional(float64), country: text.from('place.country'), at: eventTime, tags: json },
  output: { ad: text, cents: int64, note: optional(text) },
  start: (config: { least: number }) => config,
  process(click, out, { least }) {
    const ad: string = click.ad;
    const at: number = click.at;
    if (click.amount === null || click.amount < least) return;
    const amount: number = click.amount;
    // @ts-expect-error there is no such member
    click.amonut;
    // @ts-expect-error a member of a row is not written
    click.ad = 'b';
    // @ts-expect-error cents is missing
    out.emit(click, { ad });
    // @ts-expect-error cents is a number
    out.emit(click, { ad, cents: '1' });
    out.emit(click, { ad, cents: Math.round(amount * 100) + at, note: null });
    if (amount < 0) click.reject('negative_amount', `amount is ${amount}`);
  },
});

transformer({
  name: 'route',
  input: { ad: text },
  outputs: { big: { ad: text, n: bigint }, rest: { at: eventTime } },
  batch(rows, out) {
    for (const row of rows) {
      out.big.emit(row, { ad: row.ad, n: 1n });
      out.rest.emit(row, { at: 1 });
      // @ts-expect-error there is no such output
      out.other.emit(row, {});
    }
    const first: string = rows.columns.ad.get(0);
    void first;
  },
});

aggregator({
  name: 'totals',
  input: { amount: float64 },
  output: { clicks: int64, least: optional(float64) },
  accumulator: { clicks: int64, least: optional(float64), names: list(text) },
  fold(total, click) {
    if (click.amount < 0) throw new Reject('negative_amount', 'no');
    total.clicks += 1;
    total.names.push('x');
    // @ts-expect-error may be null
    total.least += 1;
  },
  combine(into, part) {
    into.clicks += part.clicks;
  },
  finish: (total, window) => (window.endMs > 0 ? { clicks: total.clicks } : null),
});

keyed({
  name: 'counts',
  key: { user: text },
  input: { value: int64 },
  output: { user: text, count: int64 },
  state: { count: int64 },
  process(row, key, out) {
    key.state.count += row.value;
    out.emit(row, { user: key.fields.user, count: key.state.count });
    key.timers.eventTime('end', row.batch.nowMs);
  },
});

stateful({
  name: 'seen',
  key: { user: text },
  inputs: { left: { id: text }, right: { id: text } },
  output: { id: text },
  tables: { last: table({ value: text }), all: table({ value: text, subKey: text }), sums: table({ value: { version: 2, fields: { cents: int64 }, migrate: { 1: older({ euros: int64 }, ({ euros }) => ({ cents: euros * 100 })) } } }) },
  process(row, key, out) {
    const last: string | null = key.last.get();
    const cents: number | undefined = key.sums.get()?.cents;
    if (cents !== undefined) key.sums.put({ cents });
    key.last.put(row.id);
    // @ts-expect-error text is kept
    key.last.put(1);
    for (const [subKey, value] of key.all.scan({ start: 'a' })) out.emit(row, { id: subKey + value + last });
  },
});

enricher({
  name: 'scores',
  connectors: { scores: 'where scores are' },
  input: { name: text },
  output: { score: optional(float64) },
  prepare: (row, ask) => ask.get('scores', `/scores/${row.name}`),
  complete: (row, [answer], out) => out.emit(row, { score: answer?.status === 200 ? answer.json().score : null }),
});

export const rows = run(sales, { config: { least: 1 }, rows: [{ ad: 'a', amount: 2 }] });
