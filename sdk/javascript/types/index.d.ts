// Types of the SDK: what a declaration says becomes the type of a row and of what is emitted.
//
// The rule: a member that a plugin did not declare does not exist for the compiler either.

/** A kind of a field: read as `R`, written as `W`. */
export interface Kind<R, W = R> {
  readonly read?: R;
  readonly write?: W;
  /** The field's dotted path in the record, where it is not the member's own name. */
  from(path: string): Kind<R, W>;
  /** Words for people who look at the plugin. */
  about(doc: string): Kind<R, W>;
}

/** What a record carries beside its fields. */
export interface Identity<R, Settable extends boolean> {
  readonly identity: R;
  readonly settable: Settable;
}

export const boolean: Kind<boolean>;
export const int32: Kind<number>;
/** Whole numbers that a number holds exactly; a record with a larger one is refused. A BigInt may be emitted. */
export const int64: Kind<number, number | bigint>;
export const bigint: Kind<bigint, bigint | number>;
export const float64: Kind<number>;
export const text: Kind<string>;
export const binary: Kind<Uint8Array>;
export const decimal: Kind<Decimal, Decimal | string | number | bigint>;
/** Microseconds since 1970. */
export const timestamp: Kind<number, number | bigint>;
/** Days since 1970. */
export const date: Kind<number>;
/** A nested value, parsed. */
export const json: Kind<any>;
/** A nested value as its text. */
export const jsonText: Kind<string>;
export function optional<R, W>(kind: Kind<R, W>): Kind<R | null, W | null | undefined>;
/** In accumulators and state only. */
export function list<R, W>(element: Kind<R, W>): Kind<R[], W[]>;

export interface Position {
  /** `STREAM/SHARD`. */
  readonly shard: string;
  readonly sequence: string;
  readonly subSequence: number;
}
export type Operation = 'insert' | 'update-before' | 'update-after' | 'delete';
export const partitionKey: Identity<string, true>;
/** Microseconds since 1970. */
export const eventTime: Identity<number, true>;
export const arrivalTime: Identity<number, false>;
export const position: Identity<Position, false>;
export const payload: Identity<Uint8Array, true>;
export const operation: Identity<Operation, true>;

export type Fields = Record<string, Kind<any, any> | Identity<any, boolean>>;
export type Outputs = Record<string, Fields>;

type Read<K> = K extends Kind<infer R, any> ? R : K extends Identity<infer R, boolean> ? R : never;
type Written<K> = K extends Kind<any, infer W> ? W : K extends Identity<infer R, true> ? R : never;
type Spared<F> = { [N in keyof F]: undefined extends Written<F[N]> ? N : never }[keyof F];

/** What holds for all records of a call. */
export interface Call {
  readonly count: number;
  /** The same again when a batch is retried. */
  readonly nowMs: number;
  /** How far event time has come; null while there is no watermark. */
  readonly watermarkMs: number | null;
  readonly seed: number;
}

/** A record, while it is processed: the same object each time, so keep `toObject()`. */
export type Row<F extends Fields> = { readonly [N in keyof F]: Read<F[N]> } & {
  readonly index: number;
  readonly batch: Call;
  /** The name of the input that it came by. */
  readonly input: string;
  /** This record cannot be processed. What is emitted for it, before or after, does not count. */
  reject(code: string, message: string): void;
  toObject(): { [N in keyof F]: Read<F[N]> };
};

/** Values of a row that is emitted; optional ones may be left out. */
export type Values<F extends Fields> = { [N in Exclude<keyof F, Spared<F>>]: Written<F[N]> } & { [N in Spared<F>]?: Written<F[N]> };

/** Whatever results come from: a row, a timer, a window. */
export interface Source {
  readonly index: number;
}

export interface Emits<F extends Fields> {
  /** A result of `source`; there may be any number of them. */
  emit(source: Source, values: Values<F>): void;
  /** Rows that come from the records at `sources`, a list a member: faster than one by one. */
  emitColumns(sources: number[], columns: { [N in keyof F]: Written<F[N]>[] }): void;
}

/** `emit` is that of the first output; each output is a member by its name. */
export type Out<O extends Outputs> = { readonly [N in keyof O]: Emits<O[N]> } & Emits<O[keyof O]> & { reject(source: Source, code: string, message: string): void };

/** A property of a config, or a whole schema with `type: 'object'`: JSON Schema. */
export type Schema = Record<string, unknown>;

export interface Context {
  readonly job: string;
  readonly step: string;
  readonly generation: number;
  /** What later hosts tell; pass over names that you do not know. */
  readonly annotations: readonly { readonly name: string; readonly value: string }[];
}

type Part<T, C> = T | ((config: C) => T);

/** What every definition has. `C`: the config; `S`: what `start` makes of it, given to every function. */
interface Base<C, S> {
  name: string;
  version?: string;
  doc?: string;
  /** JSON Schema: the properties of the step's `config:`, defaults included. Without it the plugin takes none. */
  config?: Schema;
  /** Called once an instance, also to refuse a config: throw an Error. Without it the config itself is given on. */
  start?(config: C, context: Context): S;
}

interface In<I extends Fields, C> {
  input: Part<I, C>;
}
interface Gives<O extends Outputs, C> {
  outputs: Part<O, C>;
}
interface GivesOne<F extends Fields, C> {
  output: Part<F, C>;
}

export interface Plugin {
  readonly world: 'transformer' | 'stateful-transformer' | 'keyed-transformer' | 'aggregator' | 'enricher';
  readonly lifecycle: any;
  readonly transform?: any;
  readonly aggregate?: any;
  readonly keyed?: any;
  readonly enrich?: any;
  readonly onTimers?: any;
  readonly migrateState?: any;
}

/** One column as it crossed the boundary: numbers, or `data` and `offsets` of byte strings. */
export interface Column<R> {
  readonly values: any;
  /** 1 where there is no value; empty when there is one everywhere. */
  readonly nulls: Uint8Array;
  get(row: number): R;
}

export interface Rows<F extends Fields> extends Iterable<Row<F>> {
  readonly count: number;
  readonly batch: Call;
  readonly columns: { readonly [N in keyof F]: Column<Read<F[N]>> };
  at(index: number): Row<F>;
}

type Transforms<I extends Fields, O extends Outputs, S> =
  | { process(row: Row<I>, out: Out<O>, self: S): void; batch?: undefined }
  | { batch(rows: Rows<I>, out: Out<O>, self: S): void; process?: undefined };

/** A function from records to records. Export it as the module's default. */
export function transformer<I extends Fields, F extends Fields, C = any, S = C>(definition: Base<C, S> & In<I, C> & GivesOne<F, C> & Transforms<I, { out: F }, S>): Plugin;
export function transformer<I extends Fields, O extends Outputs, C = any, S = C>(definition: Base<C, S> & In<I, C> & Gives<O, C> & Transforms<I, O, S>): Plugin;

/** Whose value a migration is given; an accumulator has no key. */
export interface Kept {
  readonly key: Record<string, any> | null;
}
/** By version: what it wrote, version byte included where there is one, as a value of now. Throw to refuse a value. */
type Migrations<V> = Record<number, (bytes: Uint8Array, of: Kept) => V>;
/** Fields of an accumulator or of state. */
export type Shape = Record<string, Kind<any, any>>;
export type Shaped<A extends Shape> = { [N in keyof A]: Read<A[N]> };
export interface Versioned<A extends Shape> {
  version: number;
  fields: A;
  migrate?: Migrations<Shaped<A>>;
}
/** For `migrate`: what a version with these fields wrote, read, and made a value of now by `turn`. */
export function older<O extends Shape, V>(fields: O, turn: (old: Shaped<O>, of: Kept) => V): (bytes: Uint8Array, of: Kept) => V;
export interface ByHand<V> {
  version: number;
  empty(): V;
  /** Without the version byte, which is written in front. */
  encode(value: V): Uint8Array;
  decode(bytes: Uint8Array): V;
  migrate?: Migrations<V>;
}

export interface Window extends Source {
  readonly startMs: number;
  readonly endMs: number;
  readonly firing: 'early' | 'on-time' | 'late' | 'retract';
  readonly firingNumber: number;
  readonly key: Record<string, any>;
}

interface Folds<I extends Fields, F extends Fields, V, S> {
  key?: Fields;
  /** Adds a record. Throw a Reject to refuse it, before the accumulator is changed. */
  fold(accumulator: V, row: Row<I>, self: S): void;
  combine(into: V, part: V, self: S): void;
  /** The result of a window, or null for none. */
  finish(accumulator: V, window: Window, self: S): Values<F> | null | undefined;
}

export function aggregator<I extends Fields, F extends Fields, A extends Shape, C = any, S = C>(
  definition: Base<C, S> & In<I, C> & GivesOne<F, C> & { accumulator: A | Versioned<A> } & Folds<I, F, Shaped<A>, S>,
): Plugin;
export function aggregator<I extends Fields, F extends Fields, V, C = any, S = C>(
  definition: Base<C, S> & In<I, C> & GivesOne<F, C> & { accumulator: ByHand<V> } & Folds<I, F, V, S>,
): Plugin;

export interface KeyTimers {
  /** Fires when the watermark has come to `atMs`; replaces a timer of the same tag. */
  eventTime(tag: string, atMs: number): void;
  /** Fires when the clock has come to `atMs`. */
  processingTime(tag: string, atMs: number): void;
  cancel(tag: string, domain?: 'event-time' | 'processing-time'): void;
}

export interface Timer extends Source {
  readonly tag: string;
  readonly domain: 'event-time' | 'processing-time';
  readonly atMs: number;
  readonly batch: Call;
}

/** A table with one value a key. */
export interface ValueTable<V> {
  get(): V | null;
  put(value: V): void;
  delete(): void;
  /** Of every key of the call, null where there is none. */
  all(): (V | null)[];
  putAll(values: (V | null)[]): void;
}
/** A table that is a map within each key, in the order of the sub-keys' bytes. */
export interface MapTable<K, V> {
  get(subKey: K): V | null;
  put(subKey: K, value: V): void;
  delete(subKey: K): void;
  scan(range?: { start?: K | null; end?: K | null; page?: number }): Iterable<[K, V]>;
}
interface TableOptions {
  /** Fetched with one look before the call, for all its keys. */
  prefetch?: boolean;
  ttlMs?: number;
  version?: number;
}
export interface ValueDeclared<V> {
  readonly holds?: ValueTable<V>;
}
export interface MapDeclared<K, V> {
  readonly holds?: MapTable<K, V>;
}
type Stored<V> = Kind<V, any> | ByHand<V>;
export function table<K, V>(options: TableOptions & { value: Stored<V>; subKey: Kind<K, any>; migrate?: Migrations<V> }): MapDeclared<K, V>;
export function table<V>(options: TableOptions & { value: Stored<V>; subKey?: undefined; migrate?: Migrations<V> }): ValueDeclared<V>;
export function table<A extends Shape>(options: TableOptions & { value: A | Versioned<A> }): ValueDeclared<Shaped<A>>;
export type Tables = Record<string, ValueDeclared<any> | MapDeclared<any, any>>;
type Held<T> = T extends MapDeclared<infer K, infer V> ? MapTable<K, V> : T extends ValueDeclared<infer V> ? ValueTable<V> : never;

/** The key of a record or timer: the same object each time, as a row is. */
export type Key<K extends Fields, T extends Tables = {}> = { readonly [N in keyof T]: T[N] extends { holds?: infer H } ? NonNullable<H> : never } & {
  readonly index: number;
  readonly fields: { [N in keyof K]: Read<K[N]> };
  readonly timers: KeyTimers;
};

type Inputs<I extends Fields, C> = { input: Part<I, C>; inputs?: undefined } | { inputs: Part<Record<string, I>, C>; input?: undefined };

interface Stateful<I extends Fields, O extends Outputs, K extends Fields, T extends Tables, S> {
  process(row: Row<I>, key: Key<K, T>, out: Out<O>, self: S): void;
  fire?(timer: Timer, key: Key<K, T>, out: Out<O>, self: S): void;
}

/** Records and timers in, records out, with tables of state by key. */
export function stateful<I extends Fields, F extends Fields, K extends Fields, T extends Tables, C = any, S = C>(
  definition: Base<C, S> & Inputs<I, C> & GivesOne<F, C> & { key?: Part<K, C>; tables?: Part<T, C> } & Stateful<I, { out: F }, K, T, S>,
): Plugin;
export function stateful<I extends Fields, O extends Outputs, K extends Fields, T extends Tables, C = any, S = C>(
  definition: Base<C, S> & Inputs<I, C> & Gives<O, C> & { key?: Part<K, C>; tables?: Part<T, C> } & Stateful<I, O, K, T, S>,
): Plugin;

export type StateKey<K extends Fields, V> = Key<K> & {
  /** The state; of a new key that of the shape's zeros. */
  state: V;
  readonly isNew: boolean;
  /** Deletes the state. */
  clear(): void;
};

/** One object of state a key, in with the records and back with the results. */
export function keyed<I extends Fields, F extends Fields, K extends Fields, A extends Shape, C = any, S = C>(
  definition: Base<C, S> & In<I, C> & GivesOne<F, C> & {
    key?: Part<K, C>;
    state: A | Versioned<A>;
    ttlMs?: number;
    process(row: Row<I>, key: StateKey<K, Shaped<A>>, out: Out<{ out: F }>, self: S): void;
    fire?(timer: Timer, key: StateKey<K, Shaped<A>>, out: Out<{ out: F }>, self: S): void;
  },
): Plugin;

export interface RequestOptions {
  headers?: Record<string, string>;
  /** Text, bytes, or a value that becomes JSON. */
  body?: unknown;
  /** Comes back with the answer. */
  cookie?: string;
}
export interface Ask {
  get(connector: string, path: string, options?: RequestOptions): void;
  post(connector: string, path: string, options?: RequestOptions): void;
  request(connector: string, method: string, path: string, options?: RequestOptions): void;
}
export interface Answer {
  readonly cookie: string;
  /** null where there was no answer. */
  readonly status: number | null;
  readonly headers: { name: string; value: string }[];
  readonly body: Uint8Array;
  readonly failed: string | null;
  readonly timedOut: boolean;
  header(name: string): string | null;
  text(): string;
  json(): any;
}

/** Says what to ask; the host asks; makes rows of the answers. */
export function enricher<I extends Fields, F extends Fields, C = any, S = C>(
  definition: Base<C, S> & In<I, C> & GivesOne<F, C> & {
    /** Name and words; the job file gives the address. */
    connectors: Part<Record<string, string>, C>;
    prepare(row: Row<I>, ask: Ask, self: S): void;
    complete(row: Row<I>, answers: Answer[], out: Out<{ out: F }>, ask: Ask, self: S): void;
  },
): Plugin;

/** This record cannot be processed; what was emitted for it in this call is forgotten. */
export class Reject extends Error {
  constructor(code: string, message: string);
  readonly code: string;
}
/** The call failed, and may do better later. */
export class Retry extends Error {
  constructor(message: string);
}
/** The call failed, and will again. */
export class Fatal extends Error {
  constructor(message: string);
}

export class Decimal {
  constructor(unscaled: bigint | number | string, scale?: number);
  static of(value: Decimal | string | number | bigint): Decimal;
  readonly unscaled: bigint;
  readonly scale: number;
  at(scale: number): bigint;
  plus(other: Decimal | string | number | bigint): Decimal;
  times(other: Decimal | string | number | bigint): Decimal;
  compare(other: Decimal | string | number | bigint): number;
  toNumber(): number;
  toString(): string;
}

type Line = (message: string, fields?: Record<string, unknown>) => void;
export const log: { enabled(level: string): boolean; trace: Line; debug: Line; info: Line; warn: Line; error: Line };
export const metrics: { counter(name: string, delta?: number): void; gauge(name: string, value: number): void; histogram(name: string, values: number[]): void };

export function toUtf8(text: string): Uint8Array;
export function fromUtf8(bytes: Uint8Array): string;
