/* The world `keyed-transformer`: the state of a key goes in with its records, and comes out with the results. Include it in one file of the plugin, after
 * defining PELTON_STATE as the state's type: a struct without pointers, which begins as zeroes.
 *
 * The rule: a state is kept as a version byte (PELTON_STATE_VERSION, or 1) and the struct's bytes; a record that is refused must leave it as it was.
 * Left to others: migration (migrate.h). */
#ifndef PELTON_KEYED_H
#define PELTON_KEYED_H

#include <pelton/migrate.h>
#include <pelton/pelton.h>

#ifndef PELTON_STATE_VERSION
#define PELTON_STATE_VERSION 1
#endif

/* The key at hand: its number in the call, its state, and what becomes of it. */
typedef struct {
    uint32_t index;
    const pelton_keys *keys;
    PELTON_STATE state;
    bool is_deleted;
} pelton_key_state;

/* A field of the step's key that is a text. */
static inline pelton_text pelton_key_text(const pelton_key_state *key, uint32_t field) { return pelton_column_text(&key->keys->fields.at[field], key->index); }

void plugin_process(pelton_key_state *key, const pelton_batch *in, uint32_t row, pelton_out *out);
/* A timer of the plugin's is due: due->tag, due->at_ms, due->domain (1: processing time). */
void plugin_fire(pelton_key_state *key, const pelton_due *due, uint32_t timer, pelton_out *out);

typedef struct {
    pelton_batch batch;
    pelton_cells states;
} pelton_keyed_input;

typedef struct {
    pelton_due due;
    pelton_cells states;
} pelton_keyed_due;

static pelton_key_state *pelton_load_states(const pelton_keys *keys, const pelton_cells *cells, uint32_t *count) {
    *count = cells->offsets.length ? cells->offsets.length - 1 : 0;
    pelton_key_state *all = pelton_alloc(*count * sizeof *all);
    for (uint32_t i = 0; i < *count; i++) {
        pelton_text bytes = pelton_cell(cells, i);
        all[i].index = i;
        all[i].keys = keys;
        all[i].is_deleted = bytes.length == 0;
        if (bytes.length == 0) continue;
        if (bytes.length != sizeof(PELTON_STATE) + 1 || bytes.at[0] != PELTON_STATE_VERSION) pelton_trap("a state of another version or length");
        memcpy(&all[i].state, bytes.at + 1, sizeof(PELTON_STATE));
    }
    return all;
}

static pelton_result *pelton_give_states(pelton_out *out, const pelton_key_state *all, uint32_t count) {
    pelton_builder built = {0};
    char *bytes = pelton_alloc(sizeof(PELTON_STATE) + 1);
    bytes[0] = PELTON_STATE_VERSION;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(bytes + 1, &all[i].state, sizeof(PELTON_STATE));
        pelton_add(&built, all[i].is_deleted ? (pelton_text){0} : (pelton_text){bytes, sizeof(PELTON_STATE) + 1});
    }
    pelton_result *result = pelton_finish(out);
    if (!result->tag) result->keyed.cells = pelton_built(&built);
    return result;
}

/* Sets the state of the key at hand to nothing. */
static inline void pelton_forget(pelton_key_state *key) {
    memset(&key->state, 0, sizeof key->state);
    key->is_deleted = true;
}
/* Says that the state is to be kept; a plugin calls it where it changed it. */
static inline void pelton_remember(pelton_key_state *key) { key->is_deleted = false; }

PELTON_EXPORT("pelton:plugin/keyed@0.1.0#process")
pelton_result *pelton_export_process(const pelton_keyed_input *in) {
    uint32_t count;
    pelton_key_state *all = pelton_load_states(&in->batch.keys, &in->states, &count);
    pelton_out *out = pelton_begin(in->batch.count);
    PELTON_EACH(row, &in->batch) plugin_process(&all[in->batch.key_index.at[row]], &in->batch, row, out);
    return pelton_give_states(out, all, count);
}
PELTON_EXPORT("cabi_post_pelton:plugin/keyed@0.1.0#process")
void pelton_post_process(void *result) {
    (void)result;
    pelton_release();
}

PELTON_EXPORT("pelton:plugin/keyed@0.1.0#fire")
pelton_result *pelton_export_fire(const pelton_keyed_due *in) {
    uint32_t count;
    pelton_key_state *all = pelton_load_states(&in->due.keys, &in->states, &count);
    pelton_out *out = pelton_begin(in->due.key.length);
    for (uint32_t i = 0; i < in->due.key.length; i++) plugin_fire(&all[in->due.key.at[i]], &in->due, i, out);
    return pelton_give_states(out, all, count);
}
PELTON_EXPORT("cabi_post_pelton:plugin/keyed@0.1.0#fire")
void pelton_post_fire(void *result) {
    (void)result;
    pelton_release();
}

#endif
