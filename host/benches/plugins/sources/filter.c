/* Readings of at least some value. */
#include <pelton/transformer.h>

enum { DEVICE, VALUE };
enum { KEPT };

static double at_least;

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "filter", "0.1.0", "readings of at least some value");
    pelton_takes_config(m, "{\"type\": \"object\", \"properties\": {\"at_least\": {\"type\": \"number\"}}}");
    pelton_input(m, "in", 0);
    pelton_field(m, "device", PELTON_TEXT);
    pelton_field(m, "value", PELTON_FLOAT64);
    pelton_output(m, "kept", 0);
    pelton_field(m, "device", PELTON_TEXT);
    pelton_field(m, "value", PELTON_FLOAT64);
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    at_least = pelton_config_number(context->config, "at_least", 0);
    return NULL;
}

void plugin_process(const pelton_batch *in, pelton_out *out) {
    PELTON_EACH(row, in) {
        double value = pelton_float64(in, VALUE, row);
        if (value < at_least) continue;
        pelton_emit(out, KEPT, row);
        pelton_put_text(out, pelton_get_text(in, DEVICE, row));
        pelton_put_float64(out, value);
    }
}
