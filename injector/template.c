/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/template.h"

#include "eastwest/base/buf.h"
#include "eastwest/base/err.h"

#define EW_TOKEN_DIR "/var/run/secrets/eastwest"
#define EW_ROOTS_DIR "/var/run/eastwest/roots"
#define EW_TOKEN_SECONDS 3600
#define EW_VALUE_MAX (1u << 20)

/* Whatever is given here was checked to be UTF-8 when it came in. */
static json_t *must(json_t *v) {
  EW_BUG_ON(!v);
  return v;
}

static void append(json_t *list, json_t *v) {
  EW_BUG_ON(json_array_append_new(list, must(v)) != 0);
}

static void set(json_t *object, const char *key, json_t *v) {
  EW_BUG_ON(json_object_set_new(object, key, must(v)) != 0);
}

/* Kubernetes expands $(NAME) in arguments and in the values of variables; $$ is
 * a $. */
static json_t *literal(const char *s) {
  struct ew_buf out;
  json_t *v;

  ew_buf_init(&out, EW_VALUE_MAX);
  for (; *s; s++)
    EW_BUG_ON(ew_buf_printf(&out, "%s%c", *s == '$' ? "$" : "", *s) != EW_OK);
  v = json_stringn(ew_buf_len(&out) ? ew_buf_peek(&out).p : "",
                   ew_buf_len(&out));
  ew_buf_fini(&out);
  return must(v);
}

static void add_option(json_t *args, const char *name, const char *value) {
  char option[64];

  if (!value || !value[0])
    return;
  snprintf(option, sizeof(option), "--%s", name);
  append(args, json_string(option));
  append(args, literal(value));
}

static void add_pod_option(json_t *args, const struct ew_pod_options *o,
                           enum ew_pod_option option) {
  add_option(args, ew_pod_option_name(option), o->v[option]);
}

static json_t *resources(const struct ew_pod_options *o) {
  json_t *out = must(json_pack("{s:{s:s,s:s}}", "requests", "cpu",
                               o->v[EW_POD_CPU_REQUEST], "memory",
                               o->v[EW_POD_MEMORY_REQUEST]));
  json_t *limits = must(json_object());

  if (o->v[EW_POD_CPU_LIMIT][0])
    set(limits, "cpu", json_string(o->v[EW_POD_CPU_LIMIT]));
  if (o->v[EW_POD_MEMORY_LIMIT][0])
    set(limits, "memory", json_string(o->v[EW_POD_MEMORY_LIMIT]));
  if (json_object_size(limits) > 0)
    set(out, "limits", limits);
  else
    json_decref(limits);
  return out;
}

/* Of both containers. */
static void set_pull_policy(json_t *container, const struct ew_pod_options *o) {
  if (o->v[EW_POD_IMAGE_PULL_POLICY][0])
    set(container, "imagePullPolicy",
        json_string(o->v[EW_POD_IMAGE_PULL_POLICY]));
}

json_t *ew_template_init(const struct ew_pod_options *o) {
  json_t *args = must(json_array()), *out;

  add_pod_option(args, o, EW_POD_SKIP_INBOUND_PORTS);
  add_pod_option(args, o, EW_POD_SKIP_OUTBOUND_PORTS);
  add_pod_option(args, o, EW_POD_SKIP_INBOUND_CIDRS);
  add_pod_option(args, o, EW_POD_SKIP_OUTBOUND_CIDRS);
  /* Root, because capabilities of a container reach another user's process
   * only through file capabilities, which the iptables of an image lacks. */
  out = must(json_pack(
      "{s:s, s:s, s:[s], s:o, s:o, s:s,"
      " s:{s:i, s:i, s:b, s:b, s:b, s:b, s:{s:[s], s:[s,s]}, s:{s:s}},"
      " s:[{s:s, s:s}]}",
      "name", EW_NAME_INIT, "image", o->v[EW_POD_IMAGE], "command",
      EW_NAME_INIT, "args", args, "resources", resources(o),
      "terminationMessagePolicy", "FallbackToLogsOnError", "securityContext",
      "runAsUser", 0, "runAsGroup", 0, "runAsNonRoot", 0, "privileged", 0,
      "allowPrivilegeEscalation", 0, "readOnlyRootFilesystem", 1,
      "capabilities", "drop", "ALL", "add", "NET_ADMIN", "NET_RAW",
      "seccompProfile", "type", "RuntimeDefault",
      /* xtables.lock of the older iptables */
      "volumeMounts", "name", EW_NAME_RUN, "mountPath", "/run"));
  set_pull_policy(out, o);
  return out;
}

static json_t *sidecar_args(const struct ew_inject_config *c,
                            const struct ew_pod_options *o) {
  json_t *args = must(json_array());

  add_option(args, "controller", c->controller);
  add_option(args, "controller-id", c->controller_id);
  add_option(args, "trust-domain", c->trust_domain);
  add_option(args, "token-file", EW_TOKEN_DIR "/token");
  add_option(args, "roots-file", EW_ROOTS_DIR "/roots.pem");
  add_pod_option(args, o, EW_POD_OPAQUE_PORTS);
  add_pod_option(args, o, EW_POD_ACCESS_LOG);
  add_pod_option(args, o, EW_POD_LOG_LEVEL);
  add_pod_option(args, o, EW_POD_DRAIN_SECONDS);
  add_pod_option(args, o, EW_POD_DESTINATION_IDLE_SECONDS);
  if (ew_pod_options_strict(o))
    append(args, json_string("--strict"));
  return args;
}

static void append_field(json_t *env, const char *name, const char *field) {
  append(env, json_pack("{s:s, s:{s:{s:s}}}", "name", name, "valueFrom",
                        "fieldRef", "fieldPath", field));
}

static json_t *sidecar_env(const char *zone, const char *probes) {
  static const struct {
    const char *name, *field;
  } fields[] = {
      {"EASTWEST_NAMESPACE", "metadata.namespace"},
      {"EASTWEST_POD", "metadata.name"},
      {"EASTWEST_SERVICE_ACCOUNT", "spec.serviceAccountName"},
      {"EASTWEST_POD_IPS", "status.podIPs"},
  };
  json_t *env = must(json_array());

  for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
    append_field(env, fields[i].name, fields[i].field);
  /* Kubernetes 1.35 gives a pod the labels of its node's place; where it does
   * not, this is "". */
  if (zone)
    append(env, json_pack("{s:s, s:o}", "name", "EASTWEST_ZONE", "value",
                          literal(zone)));
  else
    append_field(env, "EASTWEST_ZONE", "metadata.labels['" EW_ZONE_LABEL "']");
  if (probes[0])
    append(env, json_pack("{s:s, s:o}", "name", "EASTWEST_PROBES", "value",
                          literal(probes)));
  return env;
}

/* No liveness probe: a restart would cut every connection of the pod, and what
 * a restart could repair ends the process anyway. */
static json_t *ready_probe(int period_s, int failures) {
  return must(json_pack("{s:{s:s, s:i}, s:i, s:i, s:i}", "httpGet", "path",
                        "/ready", "port", EW_PORT_STATUS, "periodSeconds",
                        period_s, "timeoutSeconds", 2, "failureThreshold",
                        failures));
}

json_t *ew_template_sidecar(const struct ew_inject_config *c,
                            const struct ew_pod_options *o, const char *zone,
                            const char *probes) {
  json_t *out = must(json_pack(
      "{s:s, s:s, s:s, s:[s], s:o, s:o, s:o, s:s,"
      " s:{s:i, s:i, s:b, s:b, s:b, s:b, s:{s:[s]}, s:{s:s}},"
      " s:[{s:s, s:s, s:b}, {s:s, s:s, s:b}]}",
      "name", EW_NAME_SIDECAR, "image", o->v[EW_POD_IMAGE], "restartPolicy",
      "Always", "command", EW_NAME_SIDECAR, "args", sidecar_args(c, o), "env",
      sidecar_env(zone, probes), "resources", resources(o),
      "terminationMessagePolicy", "FallbackToLogsOnError", "securityContext",
      "runAsUser", EW_SIDECAR_UID, "runAsGroup", EW_SIDECAR_UID, "runAsNonRoot",
      1, "privileged", 0, "allowPrivilegeEscalation", 0,
      "readOnlyRootFilesystem", 1, "capabilities", "drop", "ALL",
      "seccompProfile", "type", "RuntimeDefault", "volumeMounts", "name",
      EW_NAME_TOKEN, "mountPath", EW_TOKEN_DIR, "readOnly", 1, "name",
      EW_NAME_ROOTS, "mountPath", EW_ROOTS_DIR, "readOnly", 1));

  /* The app starts when this one is ready for the first time: often asked, and
   * for ten minutes, because without the controller a restart helps nobody. */
  set(out, "startupProbe", ready_probe(1, 600));
  set(out, "readinessProbe", ready_probe(5, 3));
  set_pull_policy(out, o);
  return out;
}

json_t *ew_template_volumes(const struct ew_inject_config *c) {
  /* The token is readable for the sidecar by its mode or by the pod's fsGroup;
   * the kubelet sees to that. */
  return must(json_pack(
      "[{s:s, s:{s:[{s:{s:s, s:i, s:s}}]}},"
      " {s:s, s:{s:s, s:[{s:s, s:s}]}},"
      " {s:s, s:{s:s, s:s}}]",
      "name", EW_NAME_TOKEN, "projected", "sources", "serviceAccountToken",
      "audience", c->token_audience, "expirationSeconds", EW_TOKEN_SECONDS,
      "path", "token", "name", EW_NAME_ROOTS, "configMap", "name",
      EW_NAME_ROOTS, "items", "key", "roots.pem", "path", "roots.pem", "name",
      EW_NAME_RUN, "emptyDir", "medium", "Memory", "sizeLimit", "1Mi"));
}

bool ew_template_is_volume(const char *name) {
  return strcmp(name, EW_NAME_TOKEN) == 0 || strcmp(name, EW_NAME_ROOTS) == 0 ||
         strcmp(name, EW_NAME_RUN) == 0;
}
