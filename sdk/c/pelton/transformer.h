/* The world `transformer`: a record in, none, one or more out. Include it in one file of the plugin, which defines plugin_describe, plugin_init and
 * plugin_process.
 *
 * The rule: results depend on nothing but the batch and the config. */
#ifndef PELTON_TRANSFORMER_H
#define PELTON_TRANSFORMER_H

#include <pelton/pelton.h>

void plugin_process(const pelton_batch *in, pelton_out *out);

PELTON_EXPORT("pelton:plugin/transform@0.1.0#process")
pelton_result *pelton_export_process(const pelton_batch *in) {
    pelton_out *out = pelton_begin(in->count);
    plugin_process(in, out);
    return pelton_finish(out);
}
PELTON_EXPORT("cabi_post_pelton:plugin/transform@0.1.0#process")
void pelton_post_process(void *result) {
    (void)result;
    pelton_release();
}

#endif
