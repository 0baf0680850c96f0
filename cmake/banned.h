/* SPDX-License-Identifier: Apache-2.0
 * Included before every source file. System headers first, so that their own
 * declarations survive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol gets strncat
