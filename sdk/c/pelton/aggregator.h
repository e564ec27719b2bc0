/* The world `aggregator`: records of a window are folded into an accumulator, which gives rows when the window fires. Include it in one file of the
 * plugin, after defining PELTON_ACCUMULATOR as the accumulator's type: a struct without pointers, which begins as zeroes.
 *
 * The rule: accumulators are kept as a version byte (PELTON_STATE_VERSION, or 1) and the struct's bytes; a plugin whose accumulators have no fixed width
 * defines PELTON_ACCUMULATOR_CELLS instead, and gets and gives them as bytes.
 * Left to others: migration (migrate.h). */
#ifndef PELTON_AGGREGATOR_H
#define PELTON_AGGREGATOR_H

#include <pelton/migrate.h>
#include <pelton/pelton.h>

#ifndef PELTON_STATE_VERSION
#define PELTON_STATE_VERSION 1
#endif

typedef struct {
    pelton_keys keys;
    pelton_u32s key;
    pelton_i64s start_ms, end_ms;
} pelton_windows;

typedef struct {
    pelton_batch records;
    pelton_windows groups;
    pelton_u32s row, group;
    pelton_cells accumulators;
} pelton_fold_input;

typedef struct {
    pelton_windows groups;
    pelton_u8s firing; /* 0 early, 1 on time, 2 late, 3 retract */
    pelton_u32s firing_number;
    pelton_cells accumulators;
    int64_t now_ms;
    uint64_t seed;
    pelton_watermark watermark;
} pelton_closing;

#ifdef PELTON_ACCUMULATOR_CELLS
/* An accumulator in the plugin's own form: loaded from its bytes (none: a new one), and stored. */
typedef struct pelton_accumulator pelton_accumulator;
#define PELTON_ACCUMULATOR pelton_accumulator
PELTON_ACCUMULATOR *plugin_load(pelton_text bytes);
void plugin_store(const PELTON_ACCUMULATOR *accumulator, pelton_builder *to);
#else
static PELTON_ACCUMULATOR *plugin_load(pelton_text bytes) {
    PELTON_ACCUMULATOR *a = pelton_alloc(sizeof *a);
    if (bytes.length == 0) return a;
    if (bytes.length != sizeof *a + 1 || bytes.at[0] != PELTON_STATE_VERSION) pelton_trap("an accumulator of another version or length");
    memcpy(a, bytes.at + 1, sizeof *a);
    return a;
}
static void plugin_store(const PELTON_ACCUMULATOR *a, pelton_builder *to) {
    char *bytes = pelton_alloc(sizeof *a + 1);
    bytes[0] = PELTON_STATE_VERSION;
    memcpy(bytes + 1, a, sizeof *a);
    pelton_add(to, (pelton_text){bytes, sizeof *a + 1});
}
#endif

/* Folds a record; refuses it with pelton_reject, before it changes the accumulator. */
void plugin_fold(PELTON_ACCUMULATOR *accumulator, const pelton_batch *in, uint32_t row, pelton_out *out);
/* Parts of one window, in their order. */
void plugin_combine(PELTON_ACCUMULATOR *into, const PELTON_ACCUMULATOR *part);
/* Gives the rows of a window, from the source `group`. */
void plugin_finish(const PELTON_ACCUMULATOR *accumulator, const pelton_closing *closing, uint32_t group, pelton_out *out);

static uint32_t pelton_cell_count(const pelton_cells *cells) { return cells->offsets.length ? cells->offsets.length - 1 : 0; }

static PELTON_ACCUMULATOR **pelton_load_all(const pelton_cells *cells) {
    uint32_t count = pelton_cell_count(cells);
    PELTON_ACCUMULATOR **all = pelton_alloc(count * sizeof *all);
    for (uint32_t i = 0; i < count; i++) all[i] = plugin_load(pelton_cell(cells, i));
    return all;
}

PELTON_EXPORT("pelton:plugin/aggregate@0.1.0#fold")
pelton_result *pelton_export_fold(const pelton_fold_input *in) {
    uint32_t count = pelton_cell_count(&in->accumulators);
    PELTON_ACCUMULATOR **all = pelton_load_all(&in->accumulators);
    pelton_out *out = pelton_begin(in->row.length);
    for (uint32_t i = 0; i < in->row.length; i++) plugin_fold(all[in->group.at[i]], &in->records, in->row.at[i], out);
    pelton_builder built = {0};
    for (uint32_t i = 0; i < count; i++) plugin_store(all[i], &built);
    pelton_result *result = pelton_finish(out);
    if (result->tag) return result;
    pelton_errors errors = result->processed.errors;
    result->folded.cells = pelton_built(&built);
    result->folded.errors = errors;
    return result;
}
PELTON_EXPORT("cabi_post_pelton:plugin/aggregate@0.1.0#fold")
void pelton_post_fold(void *result) {
    (void)result;
    pelton_release();
}

PELTON_EXPORT("pelton:plugin/aggregate@0.1.0#combine")
pelton_result *pelton_export_combine(uint8_t *data, uint32_t bytes, uint32_t *offsets, uint32_t count, uint32_t *groups, uint32_t ends) {
    pelton_cells parts = {{data, bytes}, {offsets, count}};
    PELTON_ACCUMULATOR **all = pelton_load_all(&parts);
    pelton_builder built = {0};
    for (uint32_t group = 0; group + 1 < ends; group++) {
        PELTON_ACCUMULATOR *into = groups[group] < groups[group + 1] ? all[groups[group]] : plugin_load((pelton_text){0});
        for (uint32_t part = groups[group] + 1; part < groups[group + 1]; part++) plugin_combine(into, all[part]);
        plugin_store(into, &built);
    }
    pelton_result *result = pelton_alloc(sizeof *result);
    result->cells = pelton_built(&built);
    return result;
}
PELTON_EXPORT("cabi_post_pelton:plugin/aggregate@0.1.0#combine")
void pelton_post_combine(void *result) {
    (void)result;
    pelton_release();
}

PELTON_EXPORT("pelton:plugin/aggregate@0.1.0#finish")
pelton_result *pelton_export_finish(const pelton_closing *in) {
    uint32_t count = pelton_cell_count(&in->accumulators);
    PELTON_ACCUMULATOR **all = pelton_load_all(&in->accumulators);
    pelton_out *out = pelton_begin(count);
    for (uint32_t group = 0; group < count; group++) plugin_finish(all[group], in, group, out);
    return pelton_finish(out);
}
PELTON_EXPORT("cabi_post_pelton:plugin/aggregate@0.1.0#finish")
void pelton_post_finish(void *result) {
    (void)result;
    pelton_release();
}

#endif
