/* Clicks and turnover of each key so far. Edit the struct and the functions; `pelton build` makes the component. */
#include <stdint.h>

/* What is kept of a key: it begins as zeroes, and may hold no pointers. Raise PELTON_STATE_VERSION when it changes. */
typedef struct {
    int64_t clicks, cents;
} sums;
#define PELTON_STATE sums
#include <pelton/keyed.h>

/* The input's fields, in the order that they are declared in. */
enum { AMOUNT };

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "{{name}}", "0.1.0", "clicks and turnover of each key so far");
    pelton_input(m, "in", 0);
    pelton_field(m, "amount", PELTON_FLOAT64);
    pelton_key(m);
    pelton_field(m, "ad", PELTON_TEXT);
    pelton_output(m, "out", 0);
    pelton_field(m, "ad", PELTON_TEXT);
    pelton_field(m, "clicks", PELTON_INT64);
    pelton_field(m, "cents", PELTON_INT64);
    pelton_table(m, "state", PELTON_STATE_VERSION);
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    (void)context;
    return NULL;
}

void plugin_process(pelton_key_state *key, const pelton_batch *in, uint32_t row, pelton_out *out) {
    double amount = pelton_float64(in, AMOUNT, row);
    if (amount < 0) {
        pelton_reject(out, row, pelton_str("negative_amount"), pelton_concat(pelton_str("amount is "), pelton_from_number(amount)));
        return;
    }
    key->state.clicks++;
    key->state.cents += (int64_t)(amount * 100 + 0.5);
    pelton_remember(key);
    pelton_emit(out, 0, row);
    pelton_put_text(out, pelton_key_text(key, 0));
    pelton_put_int64(out, key->state.clicks);
    pelton_put_int64(out, key->state.cents);
}

/* This plugin sets no timers. */
void plugin_fire(pelton_key_state *key, const pelton_due *due, uint32_t timer, pelton_out *out) { (void)key, (void)due, (void)timer, (void)out; }

PELTON_NO_MIGRATION
