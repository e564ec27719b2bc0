/* The export `migrate-state` of every world with state.
 *
 * The rule: a plugin that never raised a schema version says so with PELTON_NO_MIGRATION; any other defines plugin_migrate. A value that it refuses stays
 * as it was. */
#ifndef PELTON_MIGRATE_H
#define PELTON_MIGRATE_H

#include <pelton/pelton.h>

/* A value of another version. In an aggregator it has no key. */
typedef struct {
    uint32_t index; /* to refuse it by */
    uint32_t table, version;
    const pelton_keys *keys;
    uint32_t key; /* in `keys` */
    pelton_text sub_key, value;
} pelton_stored;

/* Adds to `values` the value as this version has it and returns true, or returns false: it is deleted then. What it cannot read it refuses, with
 * pelton_reject(out, old->index, CODE, MESSAGE). */
bool plugin_migrate(const pelton_stored *old, pelton_builder *values, pelton_out *out);

#define PELTON_NO_MIGRATION                                                                   \
    bool plugin_migrate(const pelton_stored *old, pelton_builder *values, pelton_out *out) { \
        (void)out;                                                                           \
        pelton_add(values, old->value);                                                      \
        return true;                                                                         \
    }

typedef struct {
    uint32_t table, version;
    pelton_keys keys;
    pelton_u32s key;
    pelton_cells sub_keys, values;
} pelton_migrate_input;

PELTON_EXPORT("pelton:plugin/migrate-state@0.1.0#migrate")
pelton_result *pelton_export_migrate(const pelton_migrate_input *in) {
    uint32_t count = in->values.offsets.length ? in->values.offsets.length - 1 : 0;
    pelton_builder built = {0};
    pelton_out *out = pelton_begin(count);
    uint8_t *present = pelton_alloc(count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = in->key.length ? in->key.at[i] : 0;
        pelton_stored old = {i, in->table, in->version, &in->keys, key, pelton_cell(&in->sub_keys, i), pelton_cell(&in->values, i)};
        present[i] = plugin_migrate(&old, &built, out);
        if (!present[i]) pelton_add(&built, (pelton_text){0});
    }
    pelton_result *result = pelton_finish(out);
    if (result->tag) {
        /* An error of this function is a text, without the tag that a failure has. */
        result->text = result->failure.text;
        return result;
    }
    pelton_errors errors = result->processed.errors;
    result->migrated.values = (pelton_optional_cells){pelton_built(&built), {present, count}};
    result->migrated.errors = errors;
    return result;
}
PELTON_EXPORT("cabi_post_pelton:plugin/migrate-state@0.1.0#migrate")
void pelton_post_migrate(void *result) {
    (void)result;
    pelton_release();
}

#endif
