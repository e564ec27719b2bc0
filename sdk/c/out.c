/* What a plugin says of itself, and the rows it gives.
 *
 * The rule: a row has exactly the fields that its output declares, in their order and of their kinds; a plugin that breaks this is stopped at once, with
 * the output's name, and not by the host later. A record that is refused gives no rows, whenever they were emitted.
 * Left to others: memory (rt.c). */
#include <pelton/pelton.h>

/* A list with room for one more; lists of a manifest are short. */
#define GROW(list) ((list).at = cabi_realloc((void *)(list).at, (list).length * sizeof *(list).at, 8, ((list).length + 1) * sizeof *(list).at), \
                    memset((void *)&(list).at[(list).length], 0, sizeof *(list).at), &(list).at[(list).length++])

void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size);

/* ---- Manifest ---- */

static pelton_field_infos *fields;

void pelton_name(pelton_manifest *m, const char *name, const char *version, const char *doc) {
    m->name = pelton_str(name);
    m->version = pelton_str(version);
    m->doc = pelton_str(doc);
}
void pelton_takes_config(pelton_manifest *m, const char *schema) { m->config_schema = pelton_str(schema); }

void pelton_input(pelton_manifest *m, const char *name, unsigned wants) {
    pelton_input_info *input = GROW(m->inputs);
    input->name = pelton_str(name);
    input->identity = (uint8_t)wants;
    fields = &input->fields;
}
void pelton_output(pelton_manifest *m, const char *name, unsigned sets) {
    pelton_output_info *output = GROW(m->outputs);
    output->name = pelton_str(name);
    output->sets = (uint8_t)sets;
    fields = &output->fields;
}
void pelton_key(pelton_manifest *m) { fields = &m->key; }

void pelton_field(pelton_manifest *m, const char *path, unsigned kind) {
    (void)m;
    if (!fields) pelton_trap("pelton_field: a field belongs to an input, an output or the key; declare that first");
    pelton_field_info *field = GROW(*fields);
    field->path = pelton_str(path);
    field->kind = (uint8_t)(kind & 0xff);
    field->optional = (kind & PELTON_OPTIONAL) != 0;
}
pelton_table_info *pelton_table(pelton_manifest *m, const char *name, uint32_t schema_version) {
    pelton_table_info *table = GROW(m->tables);
    table->name = pelton_str(name);
    table->schema_version = schema_version;
    return table;
}
void pelton_connector(pelton_manifest *m, const char *name, const char *doc) {
    pelton_connector_info *connector = GROW(m->connectors);
    connector->name = pelton_str(name);
    connector->doc = pelton_str(doc);
}

/* ---- Rows ---- */

typedef struct {
    uint8_t *at;
    uint32_t length, room;
} buffer;

static void *more(buffer *b, uint32_t bytes) {
    if (bytes > b->room - b->length) {
        uint32_t room = b->room * 2 > b->length + bytes ? b->room * 2 : b->length + bytes + 64;
        b->at = cabi_realloc(b->at, b->length, 8, room);
        b->room = room;
    }
    void *at = b->at + b->length;
    b->length += bytes;
    return at;
}

typedef struct {
    buffer data, offsets, nulls;
    uint32_t count;
    int32_t scale;
    uint8_t kind;
} column;

typedef struct {
    column *columns;
    buffer source, event_us, operation;
    column partition_key, payload;
    uint32_t count, next;
} rows;

struct pelton_out {
    rows *outputs;
    uint32_t current;
    bool has_failed, retry;
    pelton_text failure;
    pelton_errors errors;
    uint32_t error_room;
    struct {
        buffer key, domain, at_ms, set;
        pelton_builder tag;
    } timers;
};

static const pelton_manifest *manifest;
static const pelton_output_info *outputs;

void pelton_declare(const pelton_manifest *declared) {
    manifest = declared;
    outputs = declared->outputs.at;
}

static bool has_cells(uint8_t kind) { return kind == PELTON_TEXT || kind == PELTON_BINARY || kind == PELTON_JSON || kind == PELTON_DECIMAL; }

static void cells_begin(column *c) { *(uint32_t *)more(&c->offsets, 4) = 0; }

static void cells_add(column *c, pelton_text cell) {
    memcpy(more(&c->data, cell.length), cell.at, cell.length);
    *(uint32_t *)more(&c->offsets, 4) = c->data.length;
    c->count++;
}

pelton_out *pelton_begin(uint32_t expected) {
    (void)expected;
    pelton_out *out = pelton_alloc(sizeof *out);
    out->outputs = pelton_alloc(manifest->outputs.length * sizeof *out->outputs);
    out->current = UINT32_MAX;
    for (uint32_t i = 0; i < manifest->outputs.length; i++) {
        rows *r = &out->outputs[i];
        r->columns = pelton_alloc(outputs[i].fields.length * sizeof *r->columns);
        for (uint32_t f = 0; f < outputs[i].fields.length; f++) {
            r->columns[f].kind = outputs[i].fields.at[f].kind;
            if (has_cells(r->columns[f].kind)) cells_begin(&r->columns[f]);
        }
        r->partition_key.kind = r->payload.kind = PELTON_BINARY;
        if (outputs[i].sets & PELTON_PARTITION_KEY) cells_begin(&r->partition_key);
        if (outputs[i].sets & PELTON_PAYLOAD) cells_begin(&r->payload);
    }
    return out;
}

static _Noreturn void wrong(const pelton_out *out, const char *what) {
    pelton_text name = out->current < manifest->outputs.length ? outputs[out->current].name : pelton_str("?");
    pelton_text said = pelton_concat(pelton_concat(pelton_str("output `"), name), pelton_concat(pelton_str("`: "), pelton_str(what)));
    char *text = pelton_alloc(said.length + 1);
    pelton_trap(memcpy(text, said.at, said.length));
}

static void close_row(pelton_out *out) {
    if (out->current == UINT32_MAX) return;
    rows *r = &out->outputs[out->current];
    const pelton_output_info *info = &outputs[out->current];
    if (r->next != info->fields.length) wrong(out, "a row has fewer fields than are declared");
    if ((info->sets & PELTON_EVENT_TIME) && r->event_us.length != r->count * 8) wrong(out, "a row does not set its event time");
    if ((info->sets & PELTON_PARTITION_KEY) && r->partition_key.count != r->count) wrong(out, "a row does not set its partition key");
    if ((info->sets & PELTON_PAYLOAD) && r->payload.count != r->count) wrong(out, "a row does not set its payload");
    if ((info->sets & PELTON_OPERATION) && r->operation.length != r->count) wrong(out, "a row does not set its operation");
}

void pelton_emit(pelton_out *out, uint32_t output, uint32_t source) {
    close_row(out);
    out->current = output;
    if (output >= manifest->outputs.length) wrong(out, "there is no output of this number");
    rows *r = &out->outputs[output];
    *(uint32_t *)more(&r->source, 4) = source;
    r->count++;
    r->next = 0;
}

static column *next(pelton_out *out, int kind) {
    if (out->current == UINT32_MAX) wrong(out, "a field is put before pelton_emit");
    rows *r = &out->outputs[out->current];
    if (r->next == outputs[out->current].fields.length) wrong(out, "a row has more fields than are declared");
    column *c = &r->columns[r->next++];
    if (kind >= 0 && c->kind != kind) wrong(out, "a field is put as another kind than is declared");
    return c;
}

static void put(column *c, const void *from, uint32_t bytes) {
    memcpy(more(&c->data, bytes), from, bytes);
    c->count++;
}

void pelton_put_null(pelton_out *out) {
    static const uint64_t nothing = 0;
    column *c = next(out, -1);
    if (has_cells(c->kind)) cells_add(c, (pelton_text){0});
    else if (c->kind == PELTON_BOOLEAN) put(c, &nothing, 1);
    else if (c->kind == PELTON_INT32 || c->kind == PELTON_DATE) put(c, &nothing, 4);
    else put(c, &nothing, 8);
    uint32_t before = c->count - 1 - c->nulls.length;
    memset(more(&c->nulls, before), 0, before);
    *(uint8_t *)more(&c->nulls, 1) = 1;
}
void pelton_put_bool(pelton_out *out, bool value) {
    uint8_t bit = value;
    put(next(out, PELTON_BOOLEAN), &bit, 1);
}
void pelton_put_int32(pelton_out *out, int32_t value) {
    column *c = next(out, -1);
    if (c->kind != PELTON_INT32 && c->kind != PELTON_DATE) wrong(out, "a field is put as int32, and declared otherwise");
    put(c, &value, 4);
}
void pelton_put_int64(pelton_out *out, int64_t value) {
    column *c = next(out, -1);
    if (c->kind != PELTON_INT64 && c->kind != PELTON_TIMESTAMP) wrong(out, "a field is put as int64, and declared otherwise");
    put(c, &value, 8);
}
void pelton_put_float64(pelton_out *out, double value) { put(next(out, PELTON_FLOAT64), &value, 8); }
void pelton_put_text(pelton_out *out, pelton_text value) {
    column *c = next(out, -1);
    if (!has_cells(c->kind) || c->kind == PELTON_DECIMAL) wrong(out, "a field is put as text, and declared otherwise");
    cells_add(c, value);
}

/* ---- Decimals: sixteen bytes, big end first ---- */

static void times_ten(uint8_t number[16]) {
    uint32_t carry = 0;
    for (int i = 15; i >= 0; i--) {
        carry += (uint32_t)number[i] * 10;
        number[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

void pelton_put_decimal(pelton_out *out, pelton_text unscaled, int32_t scale) {
    column *c = next(out, PELTON_DECIMAL);
    if (unscaled.length == 0 || unscaled.length > 16) wrong(out, "a decimal has no digits, or more than sixteen bytes of them");
    uint8_t number[16];
    memset(number, unscaled.at[0] & 0x80 ? 0xff : 0, 16);
    memcpy(number + 16 - unscaled.length, unscaled.at, unscaled.length);
    if (c->data.length == 0) c->scale = scale;
    for (; scale < c->scale; scale++) times_ten(number);
    /* A column has one scale, that of the number with most digits after the point. */
    for (; c->scale < scale; c->scale++)
        for (uint32_t at = 0; at < c->data.length; at += 16) times_ten(c->data.at + at);
    cells_add(c, (pelton_text){(char *)number, 16});
}

void pelton_put_field(pelton_out *out, const pelton_batch *in, uint32_t field, uint32_t row) {
    const pelton_column *from = &in->fields.at[field];
    if (pelton_is_null(in, field, row)) {
        pelton_put_null(out);
    } else if (from->kind == PELTON_DECIMAL) {
        pelton_put_decimal(out, pelton_column_text(from, row), from->scale);
    } else if (has_cells(from->kind)) {
        cells_add(next(out, from->kind), pelton_column_text(from, row));
    } else {
        uint32_t width = from->kind == PELTON_BOOLEAN ? 1 : from->kind == PELTON_INT32 || from->kind == PELTON_DATE ? 4 : 8;
        put(next(out, from->kind), (const uint8_t *)from->data.at + row * width, width);
    }
}

static rows *current(pelton_out *out, uint8_t sets) {
    if (out->current == UINT32_MAX) wrong(out, "something is set before pelton_emit");
    if (!(outputs[out->current].sets & sets)) wrong(out, "something is set that the output does not declare to set");
    return &out->outputs[out->current];
}
void pelton_set_event_us(pelton_out *out, int64_t value) { *(int64_t *)more(&current(out, PELTON_EVENT_TIME)->event_us, 8) = value; }
void pelton_set_partition_key(pelton_out *out, pelton_text value) { cells_add(&current(out, PELTON_PARTITION_KEY)->partition_key, value); }
void pelton_set_payload(pelton_out *out, pelton_text value) { cells_add(&current(out, PELTON_PAYLOAD)->payload, value); }
void pelton_set_operation(pelton_out *out, uint8_t value) { *(uint8_t *)more(&current(out, PELTON_OPERATION)->operation, 1) = value; }

/* ---- Errors and timers ---- */

void pelton_reject(pelton_out *out, uint32_t index, pelton_text code, pelton_text message) {
    pelton_errors *errors = &out->errors;
    /* A record may be in several windows, and is refused once. */
    if (errors->length && errors->at[errors->length - 1].index == index) return;
    if (errors->length == out->error_room) {
        out->error_room = out->error_room * 2 + 8;
        errors->at = cabi_realloc(errors->at, errors->length * sizeof *errors->at, 8, out->error_room * sizeof *errors->at);
    }
    errors->at[errors->length++] = (pelton_error){index, code, message};
}

void pelton_fail(pelton_out *out, bool retry, pelton_text message) {
    out->has_failed = true;
    out->retry = retry;
    out->failure = message;
}

static void timer(pelton_out *out, uint32_t key, pelton_text tag, bool processing_time, int64_t at_ms, uint8_t set) {
    *(uint32_t *)more(&out->timers.key, 4) = key;
    *(uint8_t *)more(&out->timers.domain, 1) = processing_time;
    *(int64_t *)more(&out->timers.at_ms, 8) = at_ms;
    *(uint8_t *)more(&out->timers.set, 1) = set;
    pelton_add(&out->timers.tag, tag);
}
void pelton_set_timer(pelton_out *out, uint32_t key, pelton_text tag, bool processing_time, int64_t at_ms) { timer(out, key, tag, processing_time, at_ms, 1); }
void pelton_cancel_timer(pelton_out *out, uint32_t key, pelton_text tag, bool processing_time) { timer(out, key, tag, processing_time, 0, 0); }

/* ---- Cells by themselves ---- */

void pelton_add(pelton_builder *b, pelton_text cell) {
    if (cell.length > b->room - b->bytes) {
        uint32_t room = b->room * 2 + cell.length + 64;
        b->data = cabi_realloc(b->data, b->bytes, 8, room);
        b->room = room;
    }
    if (b->count + 2 > b->slots) {
        uint32_t slots = b->slots * 2 + 16;
        b->offsets = cabi_realloc(b->offsets, b->slots * 4, 8, slots * 4);
        if (b->slots == 0) b->offsets[0] = 0;
        b->slots = slots;
    }
    memcpy(b->data + b->bytes, cell.at, cell.length);
    b->bytes += cell.length;
    b->offsets[++b->count] = b->bytes;
}

pelton_cells pelton_built(pelton_builder *b) {
    /* With no cell there is one offset: the column is there. */
    uint32_t *offsets = b->slots ? b->offsets : pelton_alloc(4);
    return (pelton_cells){{b->data, b->bytes}, {offsets, b->count + 1}};
}

/* ---- Refused records ---- */

/* Moves the cell `from` of a column to the place `to`, which is not behind it. */
static void move_cell(column *c, uint32_t from, uint32_t to) {
    if (has_cells(c->kind)) {
        uint32_t *offsets = (uint32_t *)c->offsets.at;
        uint32_t start = offsets[from], length = offsets[from + 1] - start;
        memmove(c->data.at + offsets[to], c->data.at + start, length);
        offsets[to + 1] = offsets[to] + length;
    } else {
        uint32_t width = c->data.length / c->count;
        memmove(c->data.at + to * width, c->data.at + from * width, width);
    }
    if (from < c->nulls.length) c->nulls.at[to] = c->nulls.at[from];
    else if (to < c->nulls.length) c->nulls.at[to] = 0;
}

static void cut(column *c, uint32_t count) {
    if (has_cells(c->kind)) {
        c->offsets.length = (count + 1) * 4;
        c->data.length = ((uint32_t *)c->offsets.at)[count];
    } else if (c->count) {
        c->data.length = c->data.length / c->count * count;
    }
    if (c->nulls.length > count) c->nulls.length = count;
    c->count = count;
}

static void move_row(rows *r, const pelton_output_info *info, uint32_t from, uint32_t to) {
    ((uint32_t *)r->source.at)[to] = ((uint32_t *)r->source.at)[from];
    for (uint32_t f = 0; f < info->fields.length; f++) move_cell(&r->columns[f], from, to);
    if (info->sets & PELTON_PARTITION_KEY) move_cell(&r->partition_key, from, to);
    if (info->sets & PELTON_PAYLOAD) move_cell(&r->payload, from, to);
    if (info->sets & PELTON_EVENT_TIME) ((int64_t *)r->event_us.at)[to] = ((int64_t *)r->event_us.at)[from];
    if (info->sets & PELTON_OPERATION) r->operation.at[to] = r->operation.at[from];
}

static void cut_rows(rows *r, const pelton_output_info *info, uint32_t count) {
    r->count = count;
    r->source.length = count * 4;
    for (uint32_t f = 0; f < info->fields.length; f++) cut(&r->columns[f], count);
    if (info->sets & PELTON_PARTITION_KEY) cut(&r->partition_key, count);
    if (info->sets & PELTON_PAYLOAD) cut(&r->payload, count);
    if (info->sets & PELTON_EVENT_TIME) r->event_us.length = count * 8;
    if (info->sets & PELTON_OPERATION) r->operation.length = count;
}

/* Takes back the rows of records that were refused. */
static void take_back(pelton_out *out) {
    const pelton_errors *errors = &out->errors;
    uint32_t last = 0;
    for (uint32_t i = 0; i < errors->length; i++) last = errors->at[i].index > last ? errors->at[i].index : last;
    uint8_t *refused = pelton_alloc(last + 1);
    for (uint32_t i = 0; i < errors->length; i++) refused[errors->at[i].index] = 1;
    for (uint32_t o = 0; o < manifest->outputs.length; o++) {
        rows *r = &out->outputs[o];
        uint32_t kept = 0;
        for (uint32_t row = 0; row < r->count; row++) {
            uint32_t source = ((uint32_t *)r->source.at)[row];
            if (source <= last && refused[source]) continue;
            if (kept != row) move_row(r, &outputs[o], row, kept);
            kept++;
        }
        if (kept < r->count) cut_rows(r, &outputs[o], kept);
    }
}

/* ---- The result ---- */

static pelton_cells cells(const column *c) {
    return (pelton_cells){{c->data.at, c->data.length}, {(uint32_t *)c->offsets.at, c->offsets.length / 4}};
}

static pelton_column lower(column *c) {
    pelton_column lowered = {.kind = c->kind, .scale = c->scale};
    uint32_t width = c->kind == PELTON_INT32 || c->kind == PELTON_DATE ? 4 : has_cells(c->kind) || c->kind == PELTON_BOOLEAN ? 1 : 8;
    lowered.data.at = c->data.at;
    lowered.data.length = c->data.length / width;
    lowered.offsets = (pelton_u32s){(uint32_t *)c->offsets.at, c->offsets.length / 4};
    if (c->nulls.length) {
        uint32_t rest = c->count - c->nulls.length;
        memset(more(&c->nulls, rest), 0, rest);
        lowered.null = (pelton_u8s){c->nulls.at, c->nulls.length};
    }
    return lowered;
}

static pelton_emitted lower_rows(rows *r, uint32_t output) {
    pelton_emitted e = {.output = output};
    e.source = (pelton_u32s){(uint32_t *)r->source.at, r->count};
    e.event_us = (pelton_i64s){(int64_t *)r->event_us.at, r->event_us.length / 8};
    e.operation = (pelton_u8s){r->operation.at, r->operation.length};
    e.partition_key = cells(&r->partition_key);
    e.payload = cells(&r->payload);
    e.fields.length = outputs[output].fields.length;
    e.fields.at = pelton_alloc(e.fields.length * sizeof *e.fields.at);
    for (uint32_t f = 0; f < e.fields.length; f++) e.fields.at[f] = lower(&r->columns[f]);
    return e;
}

pelton_result *pelton_finish(pelton_out *out) {
    pelton_result *result = pelton_alloc(sizeof *result);
    if (out->has_failed) {
        result->tag = 1;
        result->failure.tag = out->retry ? 0 : 1;
        result->failure.text = out->failure;
        return result;
    }
    close_row(out);
    if (out->errors.length) take_back(out);
    pelton_emitteds *emitted = &result->processed.emitted;
    emitted->at = pelton_alloc(manifest->outputs.length * sizeof *emitted->at);
    for (uint32_t i = 0; i < manifest->outputs.length; i++)
        if (out->outputs[i].count) emitted->at[emitted->length++] = lower_rows(&out->outputs[i], i);
    result->processed.errors = out->errors;
    pelton_timer_ops *timers = &result->processed.timers;
    uint32_t count = out->timers.set.length;
    if (count) {
        timers->key = (pelton_u32s){(uint32_t *)out->timers.key.at, count};
        timers->tag = pelton_built(&out->timers.tag);
        timers->domain = (pelton_u8s){out->timers.domain.at, count};
        timers->at_ms = (pelton_i64s){(int64_t *)out->timers.at_ms.at, count};
        timers->set = (pelton_u8s){out->timers.set.at, count};
    }
    return result;
}
