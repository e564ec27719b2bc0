/* Clicks and turnover of a window. Edit the struct and the functions; `pelton build` makes the component. */
#include <stdint.h>

/* What is kept of a window: it begins as zeroes, and may hold no pointers. Raise PELTON_STATE_VERSION when it changes. */
typedef struct {
    int64_t clicks, cents;
} total;
#define PELTON_ACCUMULATOR total
#include <pelton/aggregator.h>

/* The input's fields, in the order that they are declared in. */
enum { AMOUNT };

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "{{name}}", "0.1.0", "clicks and turnover of a window");
    pelton_input(m, "in", 0);
    pelton_field(m, "amount", PELTON_FLOAT64);
    pelton_output(m, "out", 0);
    pelton_field(m, "clicks", PELTON_INT64);
    pelton_field(m, "cents", PELTON_INT64);
    pelton_table(m, "accumulator", PELTON_STATE_VERSION);
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    (void)context;
    return NULL;
}

/* One record more. */
void plugin_fold(total *to, const pelton_batch *in, uint32_t row, pelton_out *out) {
    double amount = pelton_float64(in, AMOUNT, row);
    if (amount < 0) {
        pelton_reject(out, row, pelton_str("negative_amount"), pelton_concat(pelton_str("amount is "), pelton_from_number(amount)));
        return;
    }
    to->clicks++;
    to->cents += (int64_t)(amount * 100 + 0.5);
}

/* Two parts of one window. */
void plugin_combine(total *into, const total *part) {
    into->clicks += part->clicks;
    into->cents += part->cents;
}

/* The window has ended. */
void plugin_finish(const total *from, const pelton_closing *closing, uint32_t group, pelton_out *out) {
    (void)closing;
    pelton_emit(out, 0, group);
    pelton_put_int64(out, from->clicks);
    pelton_put_int64(out, from->cents);
}

PELTON_NO_MIGRATION
