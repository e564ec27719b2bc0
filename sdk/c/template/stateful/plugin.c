/* The largest click of each ad so far, each time there is a larger one, and a word when an ad was quiet for a minute. Edit the functions;
 * `pelton build` makes the component. */
#include <pelton/stateful.h>

/* The input's fields, in the order that they are declared in. */
enum { AMOUNT };
/* The tables, in theirs. */
enum { LARGEST };

static const pelton_text no_sub_key = {"", 0};

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "{{name}}", "0.1.0", "the largest click of each ad");
    pelton_input(m, "clicks", PELTON_EVENT_TIME);
    pelton_field(m, "amount", PELTON_FLOAT64);
    pelton_key(m);
    pelton_field(m, "ad", PELTON_TEXT);
    pelton_output(m, "out", 0);
    pelton_field(m, "ad", PELTON_TEXT);
    pelton_field(m, "what", PELTON_TEXT);
    pelton_field(m, "amount", PELTON_FLOAT64 | PELTON_OPTIONAL);
    pelton_table(m, "largest", 1)->prefetch = 1;
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    (void)context;
    return NULL;
}

static void emit(const pelton_keys *keys, uint32_t key, uint32_t source, pelton_text what, pelton_out *out) {
    pelton_emit(out, 0, source);
    pelton_put_text(out, pelton_key_text(keys, key, 0));
    pelton_put_text(out, what);
}

void plugin_process(const pelton_batch *in, pelton_out *out) {
    PELTON_EACH(row, in) {
        uint32_t key = in->key_index.at[row];
        double amount = pelton_float64(in, AMOUNT, row), largest = -1;
        pelton_value kept = pelton_get(LARGEST, key, no_sub_key);
        if (kept.is_there) memcpy(&largest, kept.bytes.at, sizeof largest);
        if (amount > largest) {
            pelton_put(LARGEST, key, no_sub_key, (pelton_text){(const char *)&amount, sizeof amount});
            emit(&in->keys, key, row, pelton_str("largest"), out);
            pelton_put_float64(out, amount);
        }
        pelton_set_timer(out, key, pelton_str("quiet"), false, in->event_us.at[row] / 1000 + 60000);
    }
}

void plugin_fire(const pelton_due *due, pelton_out *out) {
    for (uint32_t timer = 0; timer < due->key.length; timer++) {
        emit(&due->keys, due->key.at[timer], timer, pelton_cell(&due->tag, timer), out);
        pelton_put_null(out);
    }
}

PELTON_NO_MIGRATION
