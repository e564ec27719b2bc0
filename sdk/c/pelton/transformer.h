/* The world `transformer`: a record in, none, one or more out. Include it in one file of the plugin, which defines plugin_describe, plugin_init and
 * plugin_process.
 *
 * The rule: results depend on nothing but the batch and the config. Left to others: the export of plugin_process (transform.h). */
#ifndef PELTON_TRANSFORMER_H
#define PELTON_TRANSFORMER_H

#include <pelton/transform.h>

#endif
