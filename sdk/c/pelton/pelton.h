/* The SDK for plugins in C: what all worlds share.
 *
 * The rule: the structs here have the fields of wit/types.wit in their order, and C lays them out as the component model does, so nothing is copied or
 * generated; a test of the host compares every offset. Memory from pelton_alloc lives until the call is over, what is taken in plugin_init for ever, so
 * nothing is freed.
 * Left to others: the functions of a world (transformer.h, aggregator.h, ...), memory and text (rt.c). */
#ifndef PELTON_H
#define PELTON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PELTON_LIST(name, type) \
    typedef struct {            \
        type *at;               \
        uint32_t length;        \
    } name

/* Bytes of UTF-8; not ended by a zero. */
PELTON_LIST(pelton_text, const char);
PELTON_LIST(pelton_texts, pelton_text);
PELTON_LIST(pelton_u8s, uint8_t);
PELTON_LIST(pelton_u32s, uint32_t);
PELTON_LIST(pelton_i32s, int32_t);
PELTON_LIST(pelton_i64s, int64_t);
PELTON_LIST(pelton_f64s, double);

/* Cell i is data[offsets[i] .. offsets[i+1]]; n+1 offsets, or none when the column is absent. */
typedef struct {
    pelton_u8s data;
    pelton_u32s offsets;
} pelton_cells;

typedef struct {
    pelton_cells cells;
    pelton_u8s present;
} pelton_optional_cells;

typedef enum {
    PELTON_BOOLEAN,
    PELTON_INT32,
    PELTON_INT64,
    PELTON_FLOAT64,
    PELTON_TEXT,
    PELTON_BINARY,
    PELTON_DECIMAL,
    PELTON_TIMESTAMP, /* microseconds since 1970 */
    PELTON_DATE,      /* days since 1970 */
    PELTON_JSON,
    PELTON_OPTIONAL = 0x100 /* added to a kind: cells may be null */
} pelton_kind;

/* Columns beside the fields; an input wants them, an output sets them. */
enum {
    PELTON_PARTITION_KEY = 1,
    PELTON_EVENT_TIME = 2,
    PELTON_ARRIVAL_TIME = 4,
    PELTON_POSITION = 8,
    PELTON_PAYLOAD = 16,
    PELTON_OPERATION = 32
};

/* A typed field of every record. `data` holds uint8_t, int32_t, int64_t or double as `kind` says; with offsets it is a column of cells. */
typedef struct {
    uint8_t kind;
    struct {
        void *at;
        uint32_t length;
    } data;
    pelton_u32s offsets;
    int32_t scale;
    pelton_u8s null;
} pelton_column;
PELTON_LIST(pelton_columns, pelton_column);

typedef struct {
    pelton_cells bytes;
    pelton_columns fields;
} pelton_keys;

/* How far event time has come; not is_some: there is no watermark yet. */
typedef struct {
    uint8_t is_some;
    int64_t ms;
} pelton_watermark;

typedef struct {
    uint32_t input, count;
    int64_t now_ms;
    uint64_t seed;
    pelton_watermark watermark;
    pelton_keys keys;
    pelton_u32s key_index;
    pelton_texts shards;
    pelton_u32s shard_index;
    pelton_cells sequence;
    pelton_u32s sub_sequence;
    pelton_cells partition_key;
    pelton_i64s event_us, arrival_us;
    pelton_u8s operation;
    pelton_cells payload;
    pelton_columns fields;
} pelton_batch;

typedef struct {
    uint32_t output;
    pelton_u32s source;
    pelton_cells partition_key;
    pelton_i64s event_us;
    pelton_u8s operation;
    pelton_cells payload;
    pelton_columns fields;
} pelton_emitted;
PELTON_LIST(pelton_emitteds, pelton_emitted);

typedef struct {
    uint32_t index;
    pelton_text code, message;
} pelton_error;
PELTON_LIST(pelton_errors, pelton_error);

typedef struct {
    pelton_u32s key;
    pelton_cells tag;
    pelton_u8s domain;
    pelton_i64s at_ms;
    pelton_u8s set;
} pelton_timer_ops;

typedef struct {
    pelton_keys keys;
    pelton_u32s key;
    pelton_cells tag;
    pelton_u8s domain;
    pelton_i64s at_ms;
    int64_t now_ms;
    uint64_t seed;
    pelton_watermark watermark;
} pelton_due;

typedef struct {
    pelton_emitteds emitted;
    pelton_errors errors;
    pelton_timer_ops timers;
} pelton_processed;

typedef struct {
    pelton_text path;
    uint8_t kind, optional;
    pelton_text doc;
} pelton_field_info;
PELTON_LIST(pelton_field_infos, pelton_field_info);

typedef struct {
    pelton_text name;
    uint8_t identity;
    pelton_field_infos fields;
    pelton_text doc;
} pelton_input_info;
PELTON_LIST(pelton_input_infos, pelton_input_info);

typedef struct {
    pelton_text name;
    pelton_field_infos fields;
    uint8_t sets;
    pelton_text doc;
} pelton_output_info;
PELTON_LIST(pelton_output_infos, pelton_output_info);

typedef struct {
    pelton_text name;
    uint8_t prefetch;
    pelton_text schema;
    uint32_t schema_version;
    pelton_u32s migrates_from;
    struct {
        uint8_t is_some;
        uint64_t ms;
    } ttl;
} pelton_table_info;
PELTON_LIST(pelton_table_infos, pelton_table_info);

typedef struct {
    pelton_text name, doc;
} pelton_connector_info;
PELTON_LIST(pelton_connector_infos, pelton_connector_info);

typedef struct {
    pelton_text name, value;
} pelton_annotation;
PELTON_LIST(pelton_annotations, pelton_annotation);

typedef struct {
    pelton_text name, version, doc, config_schema;
    pelton_input_infos inputs;
    pelton_output_infos outputs;
    pelton_field_infos key;
    pelton_table_infos tables;
    pelton_connector_infos connectors;
    pelton_annotations annotations;
} pelton_manifest;

typedef struct {
    pelton_text config, job, step;
    uint64_t generation;
    pelton_annotations annotations; /* what later hosts tell; pass over names that you do not know */
} pelton_context;

/* ---- Memory and text ---- */

/* Zeroed, and there until the call is over; taken in plugin_init it stays. */
void *pelton_alloc(size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);

static inline pelton_text pelton_str(const char *text) { return (pelton_text){text, (uint32_t)strlen(text)}; }
static inline bool pelton_same(pelton_text a, pelton_text b) { return a.length == b.length && memcmp(a.at, b.at, a.length) == 0; }
static inline bool pelton_is(pelton_text a, const char *b) { return pelton_same(a, pelton_str(b)); }
pelton_text pelton_concat(pelton_text a, pelton_text b);
pelton_text pelton_copy(pelton_text text);
pelton_text pelton_from_int(int64_t number);
/* At most six digits after the point, and no zeroes at the end. */
pelton_text pelton_from_number(double number);

/* Ends the call with a trap; the host rejects the record that caused it, with these words. */
_Noreturn void pelton_trap(const char *why);

/* ---- Config: a JSON object's own members ---- */

double pelton_config_number(pelton_text config, const char *name, double otherwise);
bool pelton_config_bool(pelton_text config, const char *name, bool otherwise);
/* Without escapes other than \" \\ \/ \n \t. */
pelton_text pelton_config_text(pelton_text config, const char *name, const char *otherwise);

/* ---- What a plugin says of itself; each field belongs to what was declared before it ---- */

void pelton_name(pelton_manifest *m, const char *name, const char *version, const char *doc);
void pelton_takes_config(pelton_manifest *m, const char *json_schema);
void pelton_input(pelton_manifest *m, const char *name, unsigned wants);
void pelton_output(pelton_manifest *m, const char *name, unsigned sets);
/* The fields of the step's `key:` follow. */
void pelton_key(pelton_manifest *m);
void pelton_field(pelton_manifest *m, const char *path, unsigned kind);
pelton_table_info *pelton_table(pelton_manifest *m, const char *name, uint32_t schema_version);
void pelton_connector(pelton_manifest *m, const char *name, const char *doc);

/* ---- What comes in ---- */

#define PELTON_EACH(row, batch) for (uint32_t row = 0; row < (batch)->count; row++)

static inline pelton_text pelton_cell(const pelton_cells *cells, uint32_t row) {
    uint32_t from = cells->offsets.at[row];
    return (pelton_text){(const char *)cells->data.at + from, cells->offsets.at[row + 1] - from};
}
static inline bool pelton_is_null(const pelton_batch *in, uint32_t field, uint32_t row) {
    const pelton_u8s *null = &in->fields.at[field].null;
    return null->length != 0 && null->at[row] != 0;
}
static inline bool pelton_bool(const pelton_batch *in, uint32_t field, uint32_t row) { return ((const uint8_t *)in->fields.at[field].data.at)[row] != 0; }
/* Also for dates. */
static inline int32_t pelton_int32(const pelton_batch *in, uint32_t field, uint32_t row) { return ((const int32_t *)in->fields.at[field].data.at)[row]; }
/* Also for timestamps. */
static inline int64_t pelton_int64(const pelton_batch *in, uint32_t field, uint32_t row) { return ((const int64_t *)in->fields.at[field].data.at)[row]; }
static inline double pelton_float64(const pelton_batch *in, uint32_t field, uint32_t row) { return ((const double *)in->fields.at[field].data.at)[row]; }
/* Text, JSON, bytes, and the digits of a decimal: big-endian two's complement. */
static inline pelton_text pelton_column_text(const pelton_column *column, uint32_t row) {
    uint32_t from = column->offsets.at[row];
    return (pelton_text){(const char *)column->data.at + from, column->offsets.at[row + 1] - from};
}
static inline pelton_text pelton_get_text(const pelton_batch *in, uint32_t field, uint32_t row) { return pelton_column_text(&in->fields.at[field], row); }

/* ---- What goes out: a row is begun with pelton_emit, then each of its fields is put, in the order declared ---- */

typedef struct pelton_out pelton_out;

void pelton_emit(pelton_out *out, uint32_t output, uint32_t source);
void pelton_put_null(pelton_out *out);
void pelton_put_bool(pelton_out *out, bool value);
void pelton_put_int32(pelton_out *out, int32_t value);
void pelton_put_int64(pelton_out *out, int64_t value);
void pelton_put_float64(pelton_out *out, double value);
void pelton_put_text(pelton_out *out, pelton_text value);
/* unscaled / 10^scale, unscaled in big-endian two's complement of at most 16 bytes. */
void pelton_put_decimal(pelton_out *out, pelton_text unscaled, int32_t scale);
/* The field as it came, of the same kind; null where it was. */
void pelton_put_field(pelton_out *out, const pelton_batch *in, uint32_t field, uint32_t row);
/* What the output `sets`. */
void pelton_set_event_us(pelton_out *out, int64_t value);
void pelton_set_partition_key(pelton_out *out, pelton_text value);
void pelton_set_payload(pelton_out *out, pelton_text value);
void pelton_set_operation(pelton_out *out, uint8_t value);

/* The record goes where the step's `on_error` says; rows that were emitted for it stay. */
void pelton_reject(pelton_out *out, uint32_t index, pelton_text code, pelton_text message);
/* The whole call has failed; with `retry` the host backs off and calls again. */
void pelton_fail(pelton_out *out, bool retry, pelton_text message);
void pelton_set_timer(pelton_out *out, uint32_t key, pelton_text tag, bool processing_time, int64_t at_ms);
void pelton_cancel_timer(pelton_out *out, uint32_t key, pelton_text tag, bool processing_time);

/* Cells that are built one after the other. Begins as all zeroes. */
typedef struct {
    uint8_t *data;
    uint32_t *offsets;
    uint32_t bytes, room, count, slots;
} pelton_builder;
void pelton_add(pelton_builder *builder, pelton_text cell);
pelton_cells pelton_built(pelton_builder *builder);

/* ---- Log and metrics: once a batch, not once a record ---- */

enum { PELTON_TRACE, PELTON_DEBUG, PELTON_INFO, PELTON_WARN, PELTON_ERROR };
void pelton_log(unsigned level, pelton_text message);
void pelton_count(const char *name, uint64_t by);
void pelton_gauge(const char *name, double value);
void pelton_histogram(const char *name, const double *values, uint32_t count);

/* ---- For the headers of worlds ---- */

#define PELTON_EXPORT(name) __attribute__((export_name(name)))

/* Every plugin has these two; what they return is NULL, or why not. */
const char *plugin_describe(pelton_manifest *m, pelton_text config);
const char *plugin_init(const pelton_context *context);

/* Room for the largest result: a tag, then what is ok or the failure. */
typedef struct {
    uint8_t tag;
    union {
        pelton_processed processed;
        struct {
            uint8_t tag;
            pelton_text text;
        } failure;
        pelton_text text;
        pelton_cells cells;
        struct {
            pelton_optional_cells values;
            pelton_errors errors;
        } migrated;
        pelton_manifest manifest;
        struct {
            pelton_cells cells;
            pelton_errors errors;
        } folded;
        struct {
            pelton_processed processed;
            pelton_cells cells;
        } keyed;
        struct {
            void *at;
            uint32_t length;
        } list;
        struct {
            pelton_processed processed;
            struct {
                void *at;
                uint32_t length;
            } further;
        } completed;
    };
} pelton_result;

pelton_out *pelton_begin(uint32_t rows);
/* The result of the call: what was processed, or the failure, which is told by the tag 1. */
pelton_result *pelton_finish(pelton_out *out);
pelton_result *pelton_fail_text(const char *why);
void pelton_release(void);

#endif
