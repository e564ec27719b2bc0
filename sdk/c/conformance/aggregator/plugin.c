/* The plugin `aggregator` of the conformance suite: see sdk/conformance/README.md. */
#define PELTON_ACCUMULATOR_CELLS
#include <pelton/aggregator.h>

enum { OP, AMOUNT, NAME };

/* Kept as a version byte, `fixed`, and the names. */
struct pelton_accumulator {
    struct {
        int64_t records;
        double total, least;
        uint8_t has_amounts, has_names;
    } fixed;
    pelton_text names;
};

static bool leaves_empty_out;

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "conformance", "0.1.0", "does what a record's op says");
    pelton_takes_config(m, "{\"type\":\"object\",\"properties\":{\"empty\":{\"type\":\"boolean\"}},\"additionalProperties\":false}");
    pelton_input(m, "in", 0);
    pelton_field(m, "op", PELTON_TEXT);
    pelton_field(m, "amount", PELTON_FLOAT64 | PELTON_OPTIONAL);
    pelton_field(m, "name", PELTON_TEXT | PELTON_OPTIONAL);
    pelton_output(m, "out", 0);
    pelton_field(m, "records", PELTON_INT64);
    pelton_field(m, "total", PELTON_FLOAT64);
    pelton_field(m, "least", PELTON_FLOAT64 | PELTON_OPTIONAL);
    pelton_field(m, "names", PELTON_TEXT);
    pelton_table(m, "accumulator", 1);
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    leaves_empty_out = pelton_config_bool(context->config, "empty", false);
    return NULL;
}

pelton_accumulator *plugin_load(pelton_text bytes) {
    pelton_accumulator *a = pelton_alloc(sizeof *a);
    if (bytes.length == 0) return a;
    if (bytes.length < 1 + sizeof a->fixed || bytes.at[0] != 1) pelton_trap("an accumulator of another version or length");
    memcpy(&a->fixed, bytes.at + 1, sizeof a->fixed);
    a->names = (pelton_text){bytes.at + 1 + sizeof a->fixed, bytes.length - 1 - sizeof a->fixed};
    return a;
}

void plugin_store(const pelton_accumulator *a, pelton_builder *to) {
    char *fixed = pelton_alloc(1 + sizeof a->fixed);
    fixed[0] = 1;
    memcpy(fixed + 1, &a->fixed, sizeof a->fixed);
    pelton_add(to, pelton_concat((pelton_text){fixed, 1 + sizeof a->fixed}, a->names));
}

void plugin_combine(pelton_accumulator *into, const pelton_accumulator *part) {
    into->fixed.records += part->fixed.records;
    into->fixed.total += part->fixed.total;
    if (part->fixed.has_amounts && (!into->fixed.has_amounts || part->fixed.least < into->fixed.least)) into->fixed.least = part->fixed.least;
    into->fixed.has_amounts |= part->fixed.has_amounts;
    if (part->fixed.has_names) {
        if (into->fixed.has_names) into->names = pelton_concat(into->names, pelton_str(","));
        into->names = pelton_concat(into->names, part->names);
        into->fixed.has_names = 1;
    }
}

void plugin_fold(pelton_accumulator *a, const pelton_batch *in, uint32_t row, pelton_out *out) {
    pelton_text op = pelton_get_text(in, OP, row), name = pelton_get_text(in, NAME, row);
    bool has_name = !pelton_is_null(in, NAME, row);
    if (pelton_is(op, "trap")) pelton_trap("told to trap");
    if (pelton_is(op, "reject")) {
        pelton_reject(out, row, pelton_str("refused"), pelton_concat(has_name ? name : pelton_str("null"), pelton_str(" is refused")));
        return;
    }
    pelton_accumulator part = {.fixed = {.records = 1, .has_names = has_name}, .names = name};
    if (!pelton_is_null(in, AMOUNT, row)) {
        part.fixed.has_amounts = 1;
        part.fixed.total = part.fixed.least = pelton_float64(in, AMOUNT, row);
    }
    plugin_combine(a, &part);
}

void plugin_finish(const pelton_accumulator *a, const pelton_closing *closing, uint32_t group, pelton_out *out) {
    (void)closing;
    if (leaves_empty_out && a->fixed.total == 0) return;
    pelton_emit(out, 0, group);
    pelton_put_int64(out, a->fixed.records);
    pelton_put_float64(out, a->fixed.total);
    if (a->fixed.has_amounts) pelton_put_float64(out, a->fixed.least);
    else pelton_put_null(out);
    pelton_put_text(out, a->names);
}

PELTON_NO_MIGRATION
