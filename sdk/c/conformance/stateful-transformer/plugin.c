/* The plugin `stateful-transformer` of the conformance suite: see sdk/conformance/README.md. */
#include <pelton/stateful.h>

enum { OP, NAME, VALUE, TEXT };
enum { VALUES, LISTS };

static uint32_t version;
static const pelton_text none = {"", 0};

static void input(pelton_manifest *m, const char *name) {
    pelton_input(m, name, 0);
    pelton_field(m, "op", PELTON_TEXT);
    pelton_field(m, "name", PELTON_TEXT | PELTON_OPTIONAL);
    pelton_field(m, "value", PELTON_INT64 | PELTON_OPTIONAL);
    pelton_field(m, "text", PELTON_TEXT | PELTON_OPTIONAL);
}

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    static uint32_t first = 1;
    uint32_t wanted = (uint32_t)pelton_config_number(config, "version", 1);
    pelton_name(m, "conformance", "0.1.0", "does what a record's op says");
    pelton_takes_config(m, "{\"type\":\"object\",\"properties\":{\"version\":{\"type\":\"integer\"}},\"additionalProperties\":false}");
    input(m, "left");
    input(m, "right");
    pelton_key(m);
    pelton_field(m, "key", PELTON_TEXT);
    pelton_output(m, "out", 0);
    pelton_field(m, "key", PELTON_TEXT);
    pelton_field(m, "what", PELTON_TEXT);
    pelton_field(m, "text", PELTON_TEXT | PELTON_OPTIONAL);
    pelton_field(m, "number", PELTON_INT64 | PELTON_OPTIONAL);
    pelton_table_info *values = pelton_table(m, "values", wanted);
    values->prefetch = 1;
    if (wanted == 2) values->migrates_from = (pelton_u32s){&first, 1};
    pelton_table(m, "lists", 1);
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    version = (uint32_t)pelton_config_number(context->config, "version", 1);
    return NULL;
}

/* A value of version 2 has the byte 02 in front. */
bool plugin_migrate(const pelton_stored *old, pelton_builder *values, pelton_out *out) {
    if (old->table != VALUES || old->version != 1) return false;
    if (pelton_is(old->value, "bad")) {
        pelton_reject(out, old->index, pelton_str("not_migrated"), pelton_str("bad is refused"));
        return false;
    }
    pelton_add(values, pelton_concat(pelton_str("\x02"), old->value));
    return true;
}

static void put(uint32_t key, pelton_text text) { pelton_put(VALUES, key, none, version == 2 ? pelton_concat(pelton_str("\x02"), text) : text); }

static pelton_value get(uint32_t key) {
    pelton_value value = pelton_get(VALUES, key, none);
    if (value.is_there && version == 2) value.bytes = (pelton_text){value.bytes.at + 1, value.bytes.length - 1};
    return value;
}

static void emit(const pelton_keys *keys, uint32_t key, uint32_t source, pelton_text what, const pelton_text *text, const int64_t *number, pelton_out *out) {
    pelton_emit(out, 0, source);
    pelton_put_text(out, pelton_key_text(keys, key, 0));
    pelton_put_text(out, what);
    if (text) pelton_put_text(out, *text);
    else pelton_put_null(out);
    if (number) pelton_put_int64(out, *number);
    else pelton_put_null(out);
}

static void scan(const pelton_batch *in, uint32_t row, uint32_t key, pelton_text start, uint32_t page, pelton_out *out) {
    for (pelton_entries found = {.more = 1}; found.more;) {
        found = pelton_scan(LISTS, key, start, none, page);
        uint32_t count = found.sub_keys.offsets.length ? found.sub_keys.offsets.length - 1 : 0;
        if (count == 0) return;
        for (uint32_t i = 0; i < count; i++) {
            pelton_text text = pelton_cell(&found.values, i);
            emit(&in->keys, key, row, pelton_cell(&found.sub_keys, i), &text, NULL, out);
        }
        start = pelton_after(pelton_cell(&found.sub_keys, count - 1));
    }
}

static void many(const pelton_batch *in, uint32_t row, uint32_t key, pelton_out *out) {
    uint32_t count = in->keys.bytes.offsets.length - 1;
    uint32_t *all = pelton_alloc(count * sizeof *all);
    for (uint32_t i = 0; i < count; i++) all[i] = i;
    pelton_optional_cells found = pelton_get_many(VALUES, all, count);
    int64_t there = 0;
    for (uint32_t i = 0; i < count; i++) there += found.present.at[i] != 0;
    emit(&in->keys, key, row, pelton_str("many"), NULL, &there, out);
}

static void one(const pelton_batch *in, uint32_t row, pelton_out *out) {
    pelton_text op = pelton_get_text(in, OP, row), name = pelton_get_text(in, NAME, row), text = pelton_get_text(in, TEXT, row);
    bool has_value = !pelton_is_null(in, VALUE, row);
    int64_t value = has_value ? pelton_int64(in, VALUE, row) : 0;
    uint32_t key = in->key_index.at[row];
    if (pelton_is(op, "put")) {
        put(key, text);
    } else if (pelton_is(op, "get") || pelton_is(op, "pull")) {
        pelton_value found = pelton_is(op, "get") ? get(key) : pelton_get(LISTS, key, name);
        emit(&in->keys, key, row, op, found.is_there ? &found.bytes : NULL, NULL, out);
    } else if (pelton_is(op, "delete")) {
        pelton_delete(VALUES, key, none);
    } else if (pelton_is(op, "push")) {
        pelton_put(LISTS, key, name, text);
    } else if (pelton_is(op, "remove")) {
        pelton_delete(LISTS, key, name);
    } else if (pelton_is(op, "scan")) {
        scan(in, row, key, name, has_value ? (uint32_t)value : 100, out);
    } else if (pelton_is(op, "many")) {
        many(in, row, key, out);
    } else if (pelton_is(op, "watermark")) {
        emit(&in->keys, key, row, op, NULL, in->watermark.is_some ? &in->watermark.ms : NULL, out);
    } else if (pelton_is(op, "timer") || pelton_is(op, "clock")) {
        pelton_set_timer(out, key, name, pelton_is(op, "clock"), value);
    } else if (pelton_is(op, "cancel")) {
        pelton_cancel_timer(out, key, name, false);
    } else if (pelton_is(op, "side")) {
        emit(&in->keys, key, row, pelton_str(in->input == 0 ? "left" : "right"), NULL, NULL, out);
    } else if (pelton_is(op, "reject") || pelton_is(op, "late")) {
        if (pelton_is(op, "late")) {
            emit(&in->keys, key, row, op, NULL, NULL, out);
            pelton_set_timer(out, key, name, false, value);
        }
        put(key, text);
        pelton_text who = pelton_is_null(in, NAME, row) ? pelton_str("null") : name;
        pelton_reject(out, row, pelton_str("refused"), pelton_concat(who, pelton_str(" is refused")));
    } else if (pelton_is(op, "trap")) {
        put(key, text);
        pelton_trap("told to trap");
    } else {
        pelton_reject(out, row, pelton_str("unknown_op"), op);
    }
}

void plugin_process(const pelton_batch *in, pelton_out *out) { PELTON_EACH(row, in) one(in, row, out); }

void plugin_fire(const pelton_due *due, pelton_out *out) {
    for (uint32_t i = 0; i < due->key.length; i++) {
        uint32_t key = due->key.at[i];
        pelton_text tag = pelton_cell(&due->tag, i);
        emit(&due->keys, key, i, pelton_str("fired"), &tag, &due->at_ms.at[i], out);
        if (pelton_is(tag, "again") && pelton_get(VALUES, key, none).is_there)
            pelton_set_timer(out, key, tag, due->domain.at[i] == 1, due->at_ms.at[i] + 1000);
    }
}
