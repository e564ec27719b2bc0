// How a plugin says that something cannot be done: one record (Reject), or the whole call (Retry, Fatal).
//
// The rule: anything else that is thrown is a mistake of the plugin; it is written to the log with its stack, and the call traps, so
// that the host finds the record at fault and lets the others through.
// Left to others: who catches what (`worlds/`).

/** This record cannot be processed. `code` is a short stable word to count by, such as `negative_amount`. */
export class Reject extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'Reject';
    this.code = code;
  }
}

/** The call as a whole cannot be done. */
export class Failure extends Error {
  constructor(tag, message) {
    super(message);
    this.tag = tag;
    this.name = tag === 'retry' ? 'Retry' : 'Fatal';
  }
}

/** The call failed, and may do better later: the host waits and calls again. */
export class Retry extends Failure {
  constructor(message) {
    super('retry', message);
  }
}

/** The call failed, and will again. */
export class Fatal extends Failure {
  constructor(message) {
    super('fatal', message);
  }
}
