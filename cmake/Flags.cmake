# SPDX-License-Identifier: Apache-2.0
add_library(ew_flags INTERFACE)
target_compile_definitions(ew_flags INTERFACE _GNU_SOURCE
                           EW_VERSION="${PROJECT_VERSION}")
target_compile_options(ew_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wformat=2 -Wundef -Wvla
  -Wno-unused-parameter -Wno-missing-field-initializers
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  -fno-common -fstack-protector-strong -fno-strict-aliasing
  -ffunction-sections -fdata-sections)
# Unbounded string functions do not build.
target_compile_options(ew_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:SHELL:-include ${CMAKE_SOURCE_DIR}/cmake/banned.h>)
target_link_options(ew_flags INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now)

# The sanitizers instrument everything, so they are global, not per target.
if(EW_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
if(EW_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(EW_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
if(EW_LTO)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()
if(NOT EW_SANITIZE AND NOT EW_COVERAGE AND CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(ew_flags INTERFACE _FORTIFY_SOURCE=2)
endif()
