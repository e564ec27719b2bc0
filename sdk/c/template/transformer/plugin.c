/* Clicks that are worth something, in cents. Edit plugin_describe and plugin_process; `pelton build` makes the component. */
#include <pelton/transformer.h>

/* The input's fields, in the order that they are declared in. */
enum { AD, AMOUNT };
/* The outputs, in theirs. */
enum { SALES };

/* The `config:` of the step. */
static double least;

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    pelton_name(m, "{{name}}", "0.1.0", "clicks that are worth something, in cents");
    pelton_takes_config(m, "{\"type\": \"object\", \"properties\": {\"least\": {\"type\": \"number\"}}, \"additionalProperties\": false}");
    pelton_input(m, "in", 0);
    pelton_field(m, "ad", PELTON_TEXT);
    pelton_field(m, "amount", PELTON_FLOAT64);
    pelton_output(m, "sales", 0);
    pelton_field(m, "ad", PELTON_TEXT);
    pelton_field(m, "cents", PELTON_INT64);
    return pelton_config_number(config, "least", 0.01) < 0 ? "`least` must not be negative" : NULL;
}

const char *plugin_init(const pelton_context *context) {
    least = pelton_config_number(context->config, "least", 0.01);
    return NULL;
}

void plugin_process(const pelton_batch *in, pelton_out *out) {
    PELTON_EACH(row, in) {
        double amount = pelton_float64(in, AMOUNT, row);
        if (amount < 0) {
            pelton_reject(out, row, pelton_str("negative_amount"), pelton_concat(pelton_str("amount is "), pelton_from_number(amount)));
        } else if (amount >= least) {
            pelton_emit(out, SALES, row);
            pelton_put_text(out, pelton_get_text(in, AD, row));
            pelton_put_int64(out, (int64_t)(amount * 100 + 0.5));
        } /* neither emitted nor rejected: dropped */
    }
}
