/* SPDX-License-Identifier: Apache-2.0 */
#include "injector/patch.h"

#include <stdarg.h>
#include <stdio.h>

#include "eastwest/base/err.h"
#include "injector/tcp_probes.h"

/* The API server takes no pod of more than some MiB; these are far above what
 * a node could run. */
#define EW_CONTAINERS_MAX 1000u
#define EW_VOLUMES_MAX 1000u
#define EW_WARNINGS_MAX 16u
#define EW_WARNING_MAX 240u
#define EW_UID_MAX ((uint64_t)INT64_MAX)
#define EW_MIRROR_ANNOTATION "kubernetes.io/config.mirror"
#define EW_OS_LABEL "kubernetes.io/os"
#define EW_PORTS_MAX 1000u
#define EW_POD_PULL_SECRETS_MAX 100u

struct pod {
  const struct ew_inject_config *c;
  struct ew_patch *out;
  struct ew_jr r;
  const struct ew_jv *root;
  struct ew_jv meta, labels, annotations, spec;
  struct ew_jv containers, init, ephemeral, volumes;
  size_t containers_n, init_n, ephemeral_n, volumes_n;
  bool has_sidecar;
  struct ew_pod_options options;
};

/* Reads one container; false: enough is known. */
typedef bool (*container_fn)(struct pod *p, const struct ew_jv *container,
                             bool init);

json_t *ew_text_value(const char *s) {
  json_t *v = json_string(s);
  char ascii[sizeof(((struct ew_patch *)0)->why)];
  size_t n = 0;

  if (v)
    return v;
  for (; s[n] && n < sizeof(ascii) - 1; n++)
    ascii[n] = (unsigned char)s[n] < 0x80 ? s[n] : '?';
  v = json_stringn(ascii, n);
  EW_BUG_ON(!v);
  return v;
}

void ew_text_tame(char *s) {
  for (; *s; s++)
    if ((unsigned char)*s < 0x20 || *s == 0x7f)
      *s = '?';
}

static void warn(void *arg, const char *text) {
  struct pod *p = arg;
  char cut[EW_WARNING_MAX];

  if (json_array_size(p->out->warnings) >= EW_WARNINGS_MAX)
    return;
  snprintf(cut, sizeof(cut), "eastwest: %s", text);
  ew_text_tame(cut);
  EW_BUG_ON(json_array_append_new(p->out->warnings, ew_text_value(cut)) != 0);
}

/* Always returns false. */
static bool decide(struct pod *p, enum ew_verdict verdict, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool decide(struct pod *p, enum ew_verdict verdict, const char *fmt,
                   ...) {
  va_list ap;

  p->out->verdict = verdict;
  va_start(ap, fmt);
  vsnprintf(p->out->why, sizeof(p->out->why), fmt, ap);
  va_end(ap);
  ew_text_tame(p->out->why);
  return false;
}

static void expect_strings(struct pod *p, const struct ew_jv *map) {
  void *it = map->v ? json_object_iter((json_t *)(uintptr_t)map->v) : NULL;

  for (; it; it = json_object_iter_next((json_t *)(uintptr_t)map->v, it))
    if (!json_is_null(json_object_iter_value(it)))
      (void)ew_jr_str(&p->r, map, json_object_iter_key(it));
}

static void read_pod(struct pod *p) {
  struct ew_jr *r = &p->r;

  p->meta = ew_jr_obj(r, p->root, "metadata");
  p->spec = ew_jr_obj(r, p->root, "spec");
  if (!p->meta.v)
    ew_jr_fail(r, &p->meta, "must be an object");
  if (!p->spec.v)
    ew_jr_fail(r, &p->spec, "must be an object");
  p->labels = ew_jr_obj(r, &p->meta, "labels");
  p->annotations = ew_jr_obj(r, &p->meta, "annotations");
  expect_strings(p, &p->labels);
  expect_strings(p, &p->annotations);
  p->containers = ew_jr_list(r, &p->spec, "containers", EW_CONTAINERS_MAX,
                             &p->containers_n);
  p->init =
      ew_jr_list(r, &p->spec, "initContainers", EW_CONTAINERS_MAX, &p->init_n);
  p->ephemeral = ew_jr_list(r, &p->spec, "ephemeralContainers",
                            EW_CONTAINERS_MAX, &p->ephemeral_n);
  p->volumes =
      ew_jr_list(r, &p->spec, "volumes", EW_VOLUMES_MAX, &p->volumes_n);
}

static bool each_of(struct pod *p, const struct ew_jv *list, size_t n,
                    bool init, container_fn fn) {
  for (size_t i = 0; i < n; i++) {
    struct ew_jv one = ew_jr_item(&p->r, list, i);
    if (!fn(p, &one, init))
      return false;
  }
  return true;
}

static bool each_container(struct pod *p, container_fn fn) {
  return each_of(p, &p->init, p->init_n, true, fn) &&
         each_of(p, &p->containers, p->containers_n, false, fn) &&
         each_of(p, &p->ephemeral, p->ephemeral_n, false, fn);
}

/* ---- is it ours to change ---- */

static const char *annotation(struct pod *p, const char *name) {
  return ew_jr_str(&p->r, &p->annotations, name);
}

/* Left alone because somebody wants it so. */
static bool leave_quietly(struct pod *p, const char *why) {
  p->out->quiet = true;
  return decide(p, EW_VERDICT_LEFT, "not injected: %s", why);
}

/* The value of label or annotation |kind|, in |text|; false if it is neither
 * enabled nor disabled. */
static bool is_choice(struct pod *p, const char *kind, const char *text) {
  if (!text || strcmp(text, "enabled") == 0 || strcmp(text, "disabled") == 0)
    return true;
  return decide(p, EW_VERDICT_DENIED,
                "%s " EW_INJECT_LABEL
                ": \"%.64s\": expected enabled or disabled",
                kind, text);
}

static bool opted_in(struct pod *p) {
  const char *label = ew_jr_str(&p->r, &p->labels, EW_INJECT_LABEL);
  const char *note = annotation(p, EW_INJECT_LABEL);

  if (label && strcmp(label, "disabled") == 0)
    return leave_quietly(p, "the pod's label " EW_INJECT_LABEL " is disabled");
  if (!is_choice(p, "label", label) || !is_choice(p, "annotation", note))
    return false;
  /* Only to leave: the API server asks by labels. */
  if (note && strcmp(note, "disabled") == 0)
    return leave_quietly(p, "the pod's annotation " EW_INJECT_LABEL
                            " is disabled");
  if (!label && p->c->by_pod_label)
    return leave_quietly(p,
                         "the pod has no label " EW_INJECT_LABEL ": enabled");
  return true;
}

static bool is_for_windows(struct pod *p) {
  struct ew_jv os = ew_jr_obj(&p->r, &p->spec, "os");
  struct ew_jv selector = ew_jr_obj(&p->r, &p->spec, "nodeSelector");
  const char *name = ew_jr_str(&p->r, &os, "name");
  const char *node = ew_jr_str(&p->r, &selector, EW_OS_LABEL);

  return (name && strcmp(name, "linux") != 0) ||
         (node && strcmp(node, "linux") != 0);
}

static bool can_be_redirected(struct pod *p) {
  if (ew_jr_bool(&p->r, &p->spec, "hostNetwork", false))
    return decide(p, EW_VERDICT_LEFT,
                  "not injected: the pod is in the network of its node "
                  "(hostNetwork)");
  if (annotation(p, EW_MIRROR_ANNOTATION))
    return leave_quietly(p, "the pod is defined by a file of its node");
  if (is_for_windows(p))
    return decide(p, EW_VERDICT_LEFT,
                  "not injected: the pod is not for Linux (spec.os, or "
                  "nodeSelector " EW_OS_LABEL ")");
  return true;
}

static bool is_sidecar(struct pod *p, const struct ew_jv *container,
                       bool init) {
  struct ew_jv security = ew_jr_obj(&p->r, container, "securityContext");
  const char *policy = ew_jr_str(&p->r, container, "restartPolicy");
  uint64_t uid = ew_jr_u64(&p->r, &security, "runAsUser", 0, EW_UID_MAX, 0);

  return init && policy && strcmp(policy, "Always") == 0 &&
         uid == EW_SIDECAR_UID;
}

/* False, and |p->has_sidecar|: here it is. */
static bool find_sidecar(struct pod *p, const struct ew_jv *container,
                         bool init) {
  const char *name = ew_jr_str(&p->r, container, "name");

  p->has_sidecar = name && strcmp(name, EW_NAME_SIDECAR) == 0 &&
                   is_sidecar(p, container, init);
  return !p->has_sidecar;
}

/* The API server asks again about each pod that it, or another webhook, changed
 * after us, and it does so for most of them: with both there, all is well and
 * there is nothing to tell. With one of them somebody made the other up, or
 * lost it. */
static bool not_injected_yet(struct pod *p) {
  const char *version = annotation(p, EW_INJECTED_ANNOTATION);

  (void)each_container(p, find_sidecar);
  p->out->quiet = p->has_sidecar && version;
  if (p->out->quiet)
    return decide(p, EW_VERDICT_LEFT,
                  "injected already (" EW_INJECTED_ANNOTATION ": %.64s)",
                  version);
  if (p->has_sidecar)
    return decide(p, EW_VERDICT_LEFT,
                  "not injected: the pod has the container " EW_NAME_SIDECAR
                  " already, but no annotation " EW_INJECTED_ANNOTATION);
  if (version)
    return decide(p, EW_VERDICT_LEFT,
                  "not injected: it is already, says the "
                  "annotation " EW_INJECTED_ANNOTATION
                  ": %.64s, but there is no container " EW_NAME_SIDECAR
                  "; remove the annotation",
                  version);
  return true;
}

/* ---- what would not work ---- */

static bool is_port_taken(uint64_t port) {
  return port == EW_PORT_ADMIN || port == EW_PORT_OUTBOUND ||
         port == EW_PORT_INBOUND || port == EW_PORT_STATUS;
}

static bool ports_are_free(struct pod *p, const struct ew_jv *container,
                           const char *name) {
  size_t n;
  struct ew_jv ports = ew_jr_list(&p->r, container, "ports", EW_PORTS_MAX, &n);

  for (size_t i = 0; i < n; i++) {
    struct ew_jv one = ew_jr_item(&p->r, &ports, i);
    const char *protocol = ew_jr_str(&p->r, &one, "protocol");
    uint64_t port = ew_jr_u64(&p->r, &one, "containerPort", 1, 65535, 1);
    if (is_port_taken(port) && (!protocol || strcmp(protocol, "TCP") == 0))
      return decide(
          p, EW_VERDICT_DENIED,
          "container %.64s: containerPort %u: the sidecar listens "
          "there; expected another port, or the pod's label " EW_INJECT_LABEL
          ": disabled",
          name ? name : "", (unsigned)port);
  }
  return true;
}

static bool is_compatible(struct pod *p, const struct ew_jv *container,
                          bool init) {
  struct ew_jv security = ew_jr_obj(&p->r, container, "securityContext");
  const char *name = ew_jr_str(&p->r, container, "name");

  (void)init;
  if (name &&
      (strcmp(name, EW_NAME_SIDECAR) == 0 || strcmp(name, EW_NAME_INIT) == 0))
    return decide(p, EW_VERDICT_DENIED,
                  "container %s: the name is taken by the mesh; rename the "
                  "container, or label the pod " EW_INJECT_LABEL ": disabled",
                  name);
  if (ew_jr_u64(&p->r, &security, "runAsUser", 0, EW_UID_MAX, 0) ==
      EW_SIDECAR_UID)
    return decide(p, EW_VERDICT_DENIED,
                  "container %.64s: securityContext.runAsUser: 2140: expected "
                  "another user: what this one sends is not redirected",
                  name ? name : "");
  return ports_are_free(p, container, name);
}

static bool pod_is_compatible(struct pod *p) {
  struct ew_jv security = ew_jr_obj(&p->r, &p->spec, "securityContext");

  if (ew_jr_u64(&p->r, &security, "runAsUser", 0, EW_UID_MAX, 0) ==
      EW_SIDECAR_UID)
    return decide(p, EW_VERDICT_DENIED,
                  "spec.securityContext.runAsUser: 2140: expected another "
                  "user: what this one sends is not redirected");
  for (size_t i = 0; i < p->volumes_n; i++) {
    struct ew_jv volume = ew_jr_item(&p->r, &p->volumes, i);
    const char *name = ew_jr_str(&p->r, &volume, "name");
    if (name && ew_template_is_volume(name))
      return decide(p, EW_VERDICT_DENIED,
                    "volume %s: the name is taken by the mesh; rename the "
                    "volume, or label the pod " EW_INJECT_LABEL ": disabled",
                    name);
  }
  return each_container(p, is_compatible);
}

/* A name with a slip of the pen would otherwise do nothing, silently. */
static void warn_of_unknown(struct pod *p) {
  json_t *map = (json_t *)(uintptr_t)p->annotations.v;
  size_t prefix = strlen(EW_ANNOTATION_PREFIX);

  for (void *it = map ? json_object_iter(map) : NULL; it;
       it = json_object_iter_next(map, it)) {
    const char *key = json_object_iter_key(it);
    char text[200];
    bool known = false;
    if (strncmp(key, EW_ANNOTATION_PREFIX, prefix) != 0 ||
        strcmp(key, EW_INJECT_LABEL) == 0)
      continue;
    for (int i = 0; i < EW_POD_OPTIONS; i++)
      known |=
          strcmp(key + prefix, ew_pod_option_name((enum ew_pod_option)i)) == 0;
    snprintf(text, sizeof(text), "annotation %.100s: no such option", key);
    if (!known)
      warn(p, text);
  }
}

static bool options_are_good(struct pod *p) {
  char why[480];

  if (ew_pod_options_read(&p->options, &p->annotations, why, sizeof(why)) !=
      EW_OK)
    return decide(p, EW_VERDICT_DENIED, "%s", why);
  if (!p->options.v[EW_POD_IMAGE][0])
    return decide(p, EW_VERDICT_DENIED, "the injector has no image configured");
  warn_of_unknown(p);
  return true;
}

/* ---- the patch ---- */

/* Where the pod will run is not decided yet, unless the pod itself says it. */
static const char *zone_of(struct pod *p) {
  struct ew_jv selector = ew_jr_obj(&p->r, &p->spec, "nodeSelector");
  const char *zone = ew_jr_str(&p->r, &selector, EW_ZONE_LABEL);

  if (!zone)
    zone = ew_jr_str(&p->r, &p->labels, EW_ZONE_LABEL);
  return zone && zone[0] ? zone : NULL;
}

/* Takes |value|. */
static void add_op(struct pod *p, const char *path, json_t *value) {
  json_t *op =
      json_pack("{s:s, s:s, s:o}", "op", "add", "path", path, "value", value);

  EW_BUG_ON(!op || json_array_append_new(p->out->ops, op) != 0);
}

static void add_containers(struct pod *p, const char *probes) {
  json_t *init = ew_template_init(&p->options);
  json_t *sidecar = ew_template_sidecar(p->c, &p->options, zone_of(p), probes);

  if (p->init_n > 0) {
    add_op(p, "/spec/initContainers/0", init);
    add_op(p, "/spec/initContainers/1", sidecar);
  } else {
    add_op(p, "/spec/initContainers", json_pack("[o,o]", init, sidecar));
  }
}

static bool has_pull_secret(struct pod *p, const struct ew_jv *list, size_t n,
                            struct ew_slice name) {
  for (size_t i = 0; i < n; i++) {
    struct ew_jv one = ew_jr_item(&p->r, list, i);
    const char *s = ew_jr_str(&p->r, &one, "name");
    if (s && ew_slice_eq_str(name, s))
      return true;
  }
  return false;
}

/* The first one makes the list if there is none. */
static void add_pull_secrets(struct pod *p) {
  struct ew_slice rest = ew_slice_str(p->options.v[EW_POD_IMAGE_PULL_SECRETS]);
  size_t n;
  struct ew_jv list = ew_jr_list(&p->r, &p->spec, "imagePullSecrets",
                                 EW_POD_PULL_SECRETS_MAX, &n);
  bool empty = n == 0;

  while (rest.n > 0) {
    struct ew_slice name = ew_slice_cut(&rest, ',');
    if (has_pull_secret(p, &list, n, name))
      continue;
    json_t *one = json_pack("{s:s%}", "name", name.p, name.n);
    if (empty)
      add_op(p, "/spec/imagePullSecrets", json_pack("[o]", one));
    else
      add_op(p, "/spec/imagePullSecrets/-", one);
    empty = false;
  }
}

static void add_volumes(struct pod *p) {
  json_t *volumes = ew_template_volumes(p->c);

  if (p->volumes_n > 0) {
    for (size_t i = 0; i < json_array_size(volumes); i++)
      add_op(p, "/spec/volumes/-", json_incref(json_array_get(volumes, i)));
    json_decref(volumes);
  } else {
    add_op(p, "/spec/volumes", volumes);
  }
}

static void add_annotation(struct pod *p) {
  if (p->annotations.v)
    add_op(p, "/metadata/annotations/eastwest.dev~1injected",
           json_string(EW_VERSION));
  else
    add_op(p, "/metadata/annotations",
           json_pack("{s:s}", EW_INJECTED_ANNOTATION, EW_VERSION));
}

static void warn_if_strict(void *arg, const char *text) {
  struct pod *p = arg;

  if (ew_pod_options_strict(&p->options))
    warn(p, text);
}

static void add_probes(struct pod *p, struct ew_probes *probes,
                       const struct ew_jv *list, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct ew_jv one = ew_jr_item(&p->r, list, i);
    ew_probes_add(probes, &p->r, &one, p->options.v[EW_POD_SKIP_INBOUND_PORTS],
                  warn_if_strict, p);
  }
}

static void move_tcp_probes(struct pod *p, const struct ew_probes *probes,
                            const char *name, const struct ew_jv *list,
                            size_t n) {
  char path[64];

  for (size_t i = 0; i < n; i++) {
    struct ew_jv one = ew_jr_item(&p->r, list, i);
    snprintf(path, sizeof(path), "/spec/%s/%zu", name, i);
    ew_tcp_probes_move(p->out->ops, &p->r, probes, path, &one,
                       p->options.v[EW_POD_SKIP_INBOUND_PORTS]);
  }
}

static void inject(struct pod *p) {
  struct ew_probes probes;
  char *list;

  p->out->verdict = EW_VERDICT_INJECTED;
  p->out->ops = json_array();
  EW_BUG_ON(!p->out->ops);
  ew_probes_init(&probes);
  /* Sidecars of the app are init containers, and have probes too. */
  add_probes(p, &probes, &p->init, p->init_n);
  add_probes(p, &probes, &p->containers, p->containers_n);
  /* First: our own containers move the others. */
  move_tcp_probes(p, &probes, "initContainers", &p->init, p->init_n);
  move_tcp_probes(p, &probes, "containers", &p->containers, p->containers_n);
  list = ew_strndup(ew_buf_len(&probes.list) ? ew_buf_peek(&probes.list).p : "",
                    ew_buf_len(&probes.list));
  ew_probes_fini(&probes);
  add_annotation(p);
  add_volumes(p);
  add_pull_secrets(p);
  add_containers(p, list);
  free(list);
}

void ew_patch_pod(const struct ew_inject_config *c, const struct ew_jv *pod,
                  struct ew_patch *out) {
  struct pod p = {.c = c, .out = out, .root = pod};
  char why[sizeof(out->why)] = "";

  *out = (struct ew_patch){.warnings = json_array()};
  EW_BUG_ON(!out->warnings);
  p.r = (struct ew_jr){.why = why, .why_len = sizeof(why)};
  ew_pod_options_init_from(&p.options, &c->defaults);
  read_pod(&p);
  if (!p.r.failed && opted_in(&p) && can_be_redirected(&p) &&
      not_injected_yet(&p) && pod_is_compatible(&p) && options_are_good(&p))
    inject(&p);
  ew_pod_options_fini(&p.options);
  if (p.r.failed) {
    json_decref(out->ops);
    out->ops = NULL;
    decide(&p, EW_VERDICT_MALFORMED, "%s", why);
  }
  if (out->verdict == EW_VERDICT_LEFT &&
      !(p.has_sidecar && out->quiet)) /* not for what is in the mesh */
    warn(&p, out->why);
}

void ew_patch_fini(struct ew_patch *p) {
  json_decref(p->ops);
  json_decref(p->warnings);
}
