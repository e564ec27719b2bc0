/* Asks a service for the score of each ad. Edit the functions; `pelton build` makes the component. */
#include <pelton/enricher.h>

/* The input's fields, in the order that they are declared in. */
enum { AD };

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "{{name}}", "0.1.0", "the score of each ad");
    pelton_input(m, "in", 0);
    pelton_field(m, "ad", PELTON_TEXT);
    pelton_output(m, "out", 0);
    pelton_field(m, "ad", PELTON_TEXT);
    pelton_field(m, "score", PELTON_TEXT | PELTON_OPTIONAL);
    pelton_connector(m, "scores", "who knows scores");
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    (void)context;
    return NULL;
}

/* What is to be asked. */
void plugin_prepare(const pelton_batch *in, pelton_asked *asked) {
    PELTON_EACH(row, in) {
        pelton_text path = pelton_concat(pelton_str("/scores/"), pelton_percent(pelton_get_text(in, AD, row)));
        pelton_ask(asked, row, "scores", "GET", path);
    }
}

/* What is made of the answers. */
void plugin_complete(const pelton_batch *in, const pelton_responses *responses, pelton_asked *further, pelton_out *out) {
    (void)further;
    for (uint32_t i = 0; i < responses->length; i++) {
        const pelton_response *response = &responses->at[i];
        if (response->outcome != PELTON_ANSWERED || response->answer.status >= 500) {
            pelton_fail(out, true, pelton_str("the scores do not answer"));
            return;
        }
        pelton_emit(out, 0, response->row);
        pelton_put_field(out, in, AD, response->row);
        if (response->answer.status == 200) pelton_put_text(out, response->answer.body);
        else pelton_put_null(out);
    }
}
