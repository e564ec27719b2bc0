/* The world `stateful-transformer`: several inputs, tables by key, timers. Include it in one file of the plugin.
 *
 * The rule: keys are numbers within a call; reads, writes and timers count when the call returns.
 * Left to others: migration (migrate.h), the export of plugin_process (transform.h). */
#ifndef PELTON_STATEFUL_H
#define PELTON_STATEFUL_H

#include <pelton/migrate.h>
#include <pelton/transform.h>

/* Timers of the plugin's that are due; due->key.at[timer] is the key. */
void plugin_fire(const pelton_due *due, pelton_out *out);

/* A field of the step's key that is a text. */
static inline pelton_text pelton_key_text(const pelton_keys *keys, uint32_t key, uint32_t field) { return pelton_column_text(&keys->fields.at[field], key); }

typedef struct {
    uint8_t is_there;
    pelton_text bytes;
} pelton_value;

typedef struct {
    pelton_cells sub_keys, values;
    uint8_t more;
} pelton_entries;

#define PELTON_STATE_IMPORT(name) __attribute__((import_module("pelton:plugin/state@0.1.0"), import_name(name)))
PELTON_STATE_IMPORT("get") void pelton_host_get(uint32_t table, uint32_t key, const char *sub, uint32_t length, pelton_value *answer);
PELTON_STATE_IMPORT("put") void pelton_host_put(uint32_t table, uint32_t key, const char *sub, uint32_t length, const char *value, uint32_t bytes);
PELTON_STATE_IMPORT("delete") void pelton_host_delete(uint32_t table, uint32_t key, const char *sub, uint32_t length);
PELTON_STATE_IMPORT("get-many") void pelton_host_get_many(uint32_t table, const uint32_t *keys, uint32_t count, pelton_optional_cells *answer);
PELTON_STATE_IMPORT("put-many")
void pelton_host_put_many(uint32_t table, const uint32_t *keys, uint32_t count, const uint8_t *data, uint32_t bytes, const uint32_t *offsets, uint32_t ends,
                          const uint8_t *present, uint32_t flags);
PELTON_STATE_IMPORT("scan")
void pelton_host_scan(uint32_t table, uint32_t key, const char *start, uint32_t start_length, const char *end, uint32_t end_length, uint32_t limit,
                      pelton_entries *answer);

/* A table without sub-keys takes an empty text as `sub`. */
static inline pelton_value pelton_get(uint32_t table, uint32_t key, pelton_text sub) {
    pelton_value answer;
    pelton_host_get(table, key, sub.at, sub.length, &answer);
    return answer;
}
static inline void pelton_put(uint32_t table, uint32_t key, pelton_text sub, pelton_text value) {
    pelton_host_put(table, key, sub.at, sub.length, value.at, value.length);
}
static inline void pelton_delete(uint32_t table, uint32_t key, pelton_text sub) { pelton_host_delete(table, key, sub.at, sub.length); }
static inline pelton_optional_cells pelton_get_many(uint32_t table, const uint32_t *keys, uint32_t count) {
    pelton_optional_cells answer;
    pelton_host_get_many(table, keys, count, &answer);
    return answer;
}
static inline void pelton_put_many(uint32_t table, const uint32_t *keys, uint32_t count, pelton_optional_cells values) {
    pelton_host_put_many(table, keys, count, values.cells.data.at, values.cells.data.length, values.cells.offsets.at, values.cells.offsets.length,
                         values.present.at, values.present.length);
}
/* A page of the sub-keys from `start` up to but without `end` (empty: to the last); go on from pelton_after of the last one. */
static inline pelton_entries pelton_scan(uint32_t table, uint32_t key, pelton_text start, pelton_text end, uint32_t limit) {
    pelton_entries answer;
    pelton_host_scan(table, key, start.at, start.length, end.at, end.length, limit, &answer);
    return answer;
}
static inline pelton_text pelton_after(pelton_text sub_key) { return pelton_concat(sub_key, (pelton_text){"", 1}); }

PELTON_EXPORT("pelton:plugin/on-timers@0.1.0#fire")
pelton_result *pelton_export_fire(const pelton_due *due) {
    pelton_out *out = pelton_begin(due->key.length);
    plugin_fire(due, out);
    return pelton_finish(out);
}
PELTON_EXPORT("cabi_post_pelton:plugin/on-timers@0.1.0#fire")
void pelton_post_fire(void *result) {
    (void)result;
    pelton_release();
}

#endif
