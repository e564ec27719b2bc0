/* The export `migrate-state` of every world with state.
 *
 * The rule: a plugin that never raised a schema version says so with PELTON_NO_MIGRATION; any other defines plugin_migrate. */
#ifndef PELTON_MIGRATE_H
#define PELTON_MIGRATE_H

#include <pelton/pelton.h>

/* Adds to `values` the value as this version has it and returns true, or returns false: it is deleted then. */
bool plugin_migrate(uint32_t table, uint32_t from_version, pelton_text key, pelton_text sub_key, pelton_text value, pelton_builder *values);

#define PELTON_NO_MIGRATION                                                                                      \
    bool plugin_migrate(uint32_t table, uint32_t from, pelton_text key, pelton_text sub_key, pelton_text value, \
                        pelton_builder *values) {                                                               \
        (void)table, (void)from, (void)key, (void)sub_key;                                                      \
        pelton_add(values, value);                                                                              \
        return true;                                                                                            \
    }

PELTON_EXPORT("pelton:plugin/migrate-state@0.1.0#migrate")
pelton_result *pelton_export_migrate(uint32_t table, uint32_t from, uint8_t *k, uint32_t kl, uint32_t *ko, uint32_t kol, uint8_t *s, uint32_t sl,
                                     uint32_t *so, uint32_t sol, uint8_t *v, uint32_t vl, uint32_t *vo, uint32_t vol) {
    pelton_cells keys = {{k, kl}, {ko, kol}}, subs = {{s, sl}, {so, sol}}, values = {{v, vl}, {vo, vol}};
    uint32_t count = vol ? vol - 1 : 0;
    pelton_builder out = {0};
    pelton_result *result = pelton_alloc(sizeof *result);
    uint8_t *present = pelton_alloc(count);
    for (uint32_t i = 0; i < count; i++) {
        present[i] = plugin_migrate(table, from, pelton_cell(&keys, i), pelton_cell(&subs, i), pelton_cell(&values, i), &out);
        if (!present[i]) pelton_add(&out, (pelton_text){0});
    }
    result->optional.cells = pelton_built(&out);
    result->optional.present = (pelton_u8s){present, count};
    return result;
}
PELTON_EXPORT("cabi_post_pelton:plugin/migrate-state@0.1.0#migrate")
void pelton_post_migrate(void *result) {
    (void)result;
    pelton_release();
}

#endif
