/* The export `transform` of the worlds `transformer` and `stateful-transformer`, whose headers include it. */
#ifndef PELTON_TRANSFORM_H
#define PELTON_TRANSFORM_H

#include <pelton/pelton.h>

/* In the world `stateful-transformer`, in->input says by which input the records came; in->key_index.at[row] is a record's key. */
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
