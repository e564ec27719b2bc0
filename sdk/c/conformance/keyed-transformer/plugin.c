/* The plugin `keyed-transformer` of the conformance suite: see sdk/conformance/README.md. */
#include <stdint.h>

typedef struct {
    int64_t count, total;
} sums;
#define PELTON_STATE sums
#include <pelton/keyed.h>

enum { OP, VALUE };

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "conformance", "0.1.0", "does what a record's op says");
    pelton_input(m, "in", 0);
    pelton_field(m, "op", PELTON_TEXT);
    pelton_field(m, "value", PELTON_INT64 | PELTON_OPTIONAL);
    pelton_key(m);
    pelton_field(m, "key", PELTON_TEXT);
    pelton_output(m, "out", 0);
    pelton_field(m, "key", PELTON_TEXT);
    pelton_field(m, "count", PELTON_INT64);
    pelton_field(m, "total", PELTON_INT64);
    pelton_table(m, "state", 1);
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    (void)context;
    return NULL;
}

static void emit(const pelton_key_state *key, uint32_t source, pelton_out *out) {
    pelton_emit(out, 0, source);
    pelton_put_text(out, pelton_key_text(key, 0));
    pelton_put_int64(out, key->state.count);
    pelton_put_int64(out, key->state.total);
}

void plugin_process(pelton_key_state *key, const pelton_batch *in, uint32_t row, pelton_out *out) {
    pelton_text op = pelton_get_text(in, OP, row);
    int64_t value = pelton_is_null(in, VALUE, row) ? 0 : pelton_int64(in, VALUE, row);
    if (pelton_is(op, "add")) {
        key->state.count++;
        key->state.total += value;
        pelton_remember(key);
        emit(key, row, out);
    } else if (pelton_is(op, "clear")) {
        pelton_forget(key);
        emit(key, row, out);
    } else if (pelton_is(op, "timer")) {
        pelton_set_timer(out, key->index, pelton_str("timer"), false, value);
    } else if (pelton_is(op, "trap")) {
        pelton_trap("told to trap");
    } else if (pelton_is(op, "reject")) {
        pelton_reject(out, row, pelton_str("refused"), pelton_concat(pelton_key_text(key, 0), pelton_str(" is refused")));
    } else {
        pelton_reject(out, row, pelton_str("unknown_op"), op);
    }
}

void plugin_fire(pelton_key_state *key, const pelton_due *due, uint32_t timer, pelton_out *out) {
    (void)due;
    emit(key, timer, out);
}

PELTON_NO_MIGRATION
