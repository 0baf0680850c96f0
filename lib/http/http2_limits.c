/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/http/http2.h"

#include <time.h>

/* What a peer may do, but not too often. */

/* Resets by the peer, and resets that its faults force on us: this many at
 * once, then so many a second (CVE-2023-44487, CVE-2025-8671). */
#define RESETS_BURST EW_H2_RESETS_BURST
#define RESETS_PER_S EW_H2_RESETS_PER_S
/* PING, SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA frames. */
#define GLITCHES_BURST 10000
#define GLITCHES_PER_S 2000
/* A peer may give back its windows in steps of this. */
#define WINDOW_STEP 1024

static uint64_t coarse_ms(void) {
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
  return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void flood(struct ew_h2 *h, const char *why) {
  if (h->failed)
    return;
  h->failed = EW_EFLOOD;
  h->c.why = why;
  nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* A server that resets costs us no work that we haven't asked it for. */
void ew_h2_count_reset(struct ew_h2 *h) {
  if (h->c.client)
    return;
  if (!ew_bucket_take(&h->resets, RESETS_BURST, RESETS_PER_S, coarse_ms()))
    flood(h, "too many resets");
}

void ew_h2_count_glitch(struct ew_h2 *h) {
  if (!ew_bucket_take(&h->glitches, GLITCHES_BURST, GLITCHES_PER_S,
                      coarse_ms()))
    flood(h, "too many control frames");
}

/* A fast transfer brings many of them: DATA of ours pays for some. */
void ew_h2_count_window_update(struct ew_h2 *h) {
  if (h->window_credit > 0)
    h->window_credit--;
  else
    ew_h2_count_glitch(h);
}

void ew_h2_earn_credit(struct ew_h2 *h, size_t n) {
  h->window_credit += 2 + (unsigned)(n / WINDOW_STEP);
  if (h->window_credit > GLITCHES_BURST)
    h->window_credit = GLITCHES_BURST;
}
