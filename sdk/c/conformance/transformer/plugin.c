/* The plugin `transformer` of the conformance suite: see sdk/conformance/README.md. */
#include <pelton/transformer.h>

enum { OP, FLAG, SMALL, BIG, RATIO, NAME, BLOB, PRICE, AT, DAY, EXTRA };
enum { OUT, OTHER };

static double factor;
static pelton_text prefix;

static void ten_fields(pelton_manifest *m) {
    pelton_field(m, "op", PELTON_TEXT);
    pelton_field(m, "flag", PELTON_BOOLEAN | PELTON_OPTIONAL);
    pelton_field(m, "small", PELTON_INT32 | PELTON_OPTIONAL);
    pelton_field(m, "big", PELTON_INT64 | PELTON_OPTIONAL);
    pelton_field(m, "ratio", PELTON_FLOAT64 | PELTON_OPTIONAL);
    pelton_field(m, "name", PELTON_TEXT | PELTON_OPTIONAL);
    pelton_field(m, "blob", PELTON_BINARY | PELTON_OPTIONAL);
    pelton_field(m, "price", PELTON_DECIMAL | PELTON_OPTIONAL);
    pelton_field(m, "at", PELTON_TIMESTAMP | PELTON_OPTIONAL);
    pelton_field(m, "day", PELTON_DATE | PELTON_OPTIONAL);
    pelton_field(m, "extra", PELTON_JSON | PELTON_OPTIONAL);
}

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    pelton_name(m, "conformance", "0.1.0", "does what a record's op says");
    pelton_takes_config(m, "{\"type\":\"object\",\"properties\":{\"factor\":{\"type\":\"number\"},\"prefix\":{\"type\":\"string\"}},\"additionalProperties\":false}");
    pelton_input(m, "in", PELTON_EVENT_TIME | PELTON_PARTITION_KEY | PELTON_POSITION);
    ten_fields(m);
    pelton_output(m, "out", 0);
    ten_fields(m);
    pelton_output(m, "other", PELTON_EVENT_TIME);
    pelton_field(m, "name", PELTON_TEXT | PELTON_OPTIONAL);
    pelton_field(m, "nth", PELTON_INT64);
    return pelton_config_number(config, "factor", 1) < 0 ? "factor is negative" : NULL;
}

const char *plugin_init(const pelton_context *context) {
    factor = pelton_config_number(context->config, "factor", 1);
    prefix = pelton_config_text(context->config, "prefix", "");
    return NULL;
}

static void copy(const pelton_batch *in, uint32_t row, pelton_out *out) {
    pelton_emit(out, OUT, row);
    for (uint32_t field = OP; field <= EXTRA; field++) {
        bool is_null = pelton_is_null(in, field, row);
        if (field == RATIO && !is_null) pelton_put_float64(out, pelton_float64(in, RATIO, row) * factor);
        else if (field == NAME && !is_null) pelton_put_text(out, pelton_concat(prefix, pelton_get_text(in, NAME, row)));
        else pelton_put_field(out, in, field, row);
    }
}

static void other(const pelton_batch *in, uint32_t row, int64_t nth, int64_t event_us, pelton_out *out) {
    pelton_emit(out, OTHER, row);
    pelton_put_field(out, in, NAME, row);
    pelton_put_int64(out, nth);
    pelton_set_event_us(out, event_us);
}

static void bounds(uint32_t row, pelton_out *out) {
    /* -(10^38 - 1), with eighteen digits after the point */
    static const char digits[] = "\xb4\xc4\xb3\x57\xa5\x79\x3b\x85\xf6\x75\xdd\xc0\x00\x00\x00\x01";
    pelton_emit(out, OUT, row);
    pelton_put_text(out, pelton_str("bounds"));
    pelton_put_bool(out, true);
    pelton_put_int32(out, INT32_MIN);
    pelton_put_int64(out, INT64_MAX);
    pelton_put_float64(out, -0.0);
    pelton_put_text(out, (pelton_text){"ä€😀", 10});
    pelton_put_text(out, (pelton_text){"\x00\xff\x80", 3});
    pelton_put_decimal(out, (pelton_text){digits, 16}, 18);
    pelton_put_int64(out, 253402300799999999);
    pelton_put_int32(out, -719162);
    pelton_put_text(out, pelton_str("{\"a\":[1,null,\"x\"]}"));
}

static void nulls(uint32_t row, pelton_out *out) {
    pelton_emit(out, OUT, row);
    pelton_put_text(out, pelton_str("nulls"));
    for (int i = 0; i < 10; i++) pelton_put_null(out);
}

static void told(const pelton_batch *in, uint32_t row, pelton_text op, pelton_text name, pelton_out *out) {
    pelton_emit(out, OUT, row);
    pelton_put_text(out, op);
    for (uint32_t field = FLAG; field <= EXTRA; field++) {
        if (field == BIG) pelton_put_int64(out, in->sub_sequence.at[row]);
        else if (field == NAME) pelton_put_text(out, name);
        else pelton_put_null(out);
    }
}

static void both(const pelton_batch *in, uint32_t row, pelton_out *out) {
    copy(in, row, out);
    other(in, row, -1, in->event_us.at[row], out);
}

static void one(const pelton_batch *in, uint32_t row, pelton_out *out) {
    pelton_text op = pelton_get_text(in, OP, row), name = pelton_get_text(in, NAME, row);
    bool is_null = pelton_is_null(in, NAME, row);
    int64_t event_us = in->event_us.at[row];
    if (pelton_is(op, "drop")) {
    } else if (pelton_is(op, "copy")) {
        copy(in, row, out);
    } else if (pelton_is(op, "both")) {
        both(in, row, out);
    } else if (pelton_is(op, "split")) {
        int64_t count = pelton_is_null(in, BIG, row) ? 0 : pelton_int64(in, BIG, row);
        for (int64_t nth = 0; nth < count; nth++) other(in, row, nth, event_us + nth * 1000000, out);
    } else if (pelton_is(op, "reject") || pelton_is(op, "late")) {
        if (pelton_is(op, "late")) both(in, row, out);
        pelton_reject(out, row, pelton_str("refused"), pelton_concat(is_null ? pelton_str("null") : name, pelton_str(" is refused")));
        if (pelton_is(op, "late")) both(in, row, out);
    } else if (pelton_is(op, "bounds")) {
        bounds(row, out);
    } else if (pelton_is(op, "nulls")) {
        nulls(row, out);
    } else if (pelton_is(op, "who")) {
        told(in, row, op, pelton_cell(&in->partition_key, row), out);
    } else if (pelton_is(op, "where")) {
        told(in, row, op, in->shards.at[in->shard_index.at[row]], out);
    } else if (pelton_is(op, "log")) {
        pelton_log(PELTON_INFO, name);
        pelton_count("logged", 1);
    } else if (pelton_is(op, "trap")) {
        pelton_trap("told to trap");
    } else if (pelton_is(op, "fatal") || pelton_is(op, "retry")) {
        pelton_fail(out, pelton_is(op, "retry"), name);
    } else {
        pelton_reject(out, row, pelton_str("unknown_op"), op);
    }
}

void plugin_process(const pelton_batch *in, pelton_out *out) { PELTON_EACH(row, in) one(in, row, out); }
