# SPDX-License-Identifier: Apache-2.0
find_package(PkgConfig REQUIRED)

function(ew_pkg target module)
  pkg_check_modules(${target}_pc REQUIRED IMPORTED_TARGET ${module})
  add_library(${target} INTERFACE)
  if(EW_STATIC)
    target_include_directories(${target} INTERFACE ${${target}_pc_STATIC_INCLUDE_DIRS})
    target_link_directories(${target} INTERFACE ${${target}_pc_STATIC_LIBRARY_DIRS})
    # Static archives where the distribution has them, by the .a name: the
    # controller and injector stay dynamic and pick the same archive.
    target_link_libraries(${target} INTERFACE ${${target}_pc_STATIC_LIBRARIES})
  else()
    target_link_libraries(${target} INTERFACE PkgConfig::${target}_pc)
  endif()
endfunction()

if(EW_STATIC)
  # Its static archive has a name of its own.
  ew_pkg(dep_uv "libuv-static>=1.44")
else()
  ew_pkg(dep_uv "libuv>=1.44")
endif()
ew_pkg(dep_ssl "openssl>=3.0")
ew_pkg(dep_nghttp2 "libnghttp2>=1.52")
ew_pkg(dep_jansson "jansson>=2.14")
ew_pkg(dep_yaml "yaml-0.1>=0.2.5")
ew_pkg(dep_re2 "re2")
if(NOT EW_FUZZ)
  # Shared also where the others are static: only the controller and the
  # injector use it.
  pkg_check_modules(curl_pc REQUIRED IMPORTED_TARGET "libcurl>=7.88")
  add_library(dep_curl INTERFACE)
  target_link_libraries(dep_curl INTERFACE PkgConfig::curl_pc)
endif()
if(EW_TESTS)
  ew_pkg(dep_cmocka "cmocka>=1.1.5")
endif()

# llhttp: a system package from 9.3 on, else the four C files of the PyPI source
# package, fetched by pip, its hash checked. Older ones (Debian's node-llhttp
# 8.1) accept requests that can be smuggled through and are refused.
set(EW_LLHTTP_VERSION 9.3.0.0)
set(EW_LLHTTP_SHA256
    0d989363e7fb6f270b9d49956e7a3945c26778f8c70a166815264309ac6a8295)
set(EW_LLHTTP_DIR "" CACHE PATH
    "llhttp sources (llhttp.h, llhttp.c, api.c, http.c), 9.3 or newer")

function(ew_llhttp_check_version header)
  file(STRINGS ${header} major REGEX "LLHTTP_VERSION_MAJOR [0-9]+")
  file(STRINGS ${header} minor REGEX "LLHTTP_VERSION_MINOR [0-9]+")
  string(REGEX REPLACE ".* ([0-9]+)$" "\\1" major "${major}")
  string(REGEX REPLACE ".* ([0-9]+)$" "\\1" minor "${minor}")
  if("${major}.${minor}" VERSION_LESS 9.3)
    message(FATAL_ERROR "llhttp ${major}.${minor} (${header}) lets smuggled "
            "requests through; 9.3 or newer is needed")
  endif()
endfunction()

pkg_check_modules(llhttp_pc IMPORTED_TARGET libllhttp)
if(llhttp_pc_FOUND AND NOT EW_LLHTTP_DIR)
  find_path(llhttp_include llhttp.h HINTS ${llhttp_pc_INCLUDE_DIRS} REQUIRED)
  ew_llhttp_check_version(${llhttp_include}/llhttp.h)
  add_library(dep_llhttp INTERFACE)
  target_link_libraries(dep_llhttp INTERFACE PkgConfig::llhttp_pc)
else()
  if(EW_LLHTTP_DIR)
    set(llhttp_dir ${EW_LLHTTP_DIR})
  else()
    set(llhttp_dir ${CMAKE_BINARY_DIR}/third_party/llhttp-${EW_LLHTTP_VERSION}/lib)
    if(NOT EXISTS ${llhttp_dir}/llhttp.h)
      set(req ${CMAKE_BINARY_DIR}/third_party/llhttp.txt)
      file(WRITE ${req}
           "llhttp==${EW_LLHTTP_VERSION} --hash=sha256:${EW_LLHTTP_SHA256}\n")
      find_program(EW_PYTHON3 NAMES /usr/bin/python3 python3 REQUIRED)
      execute_process(
        COMMAND ${EW_PYTHON3} -m pip download --quiet --no-deps
                --no-build-isolation --no-binary :all: --require-hashes -r ${req}
                -d ${CMAKE_BINARY_DIR}/third_party
        RESULT_VARIABLE rc)
      if(NOT rc EQUAL 0)
        message(FATAL_ERROR "could not fetch llhttp ${EW_LLHTTP_VERSION} by pip; "
                "set EW_LLHTTP_DIR to a folder with its sources")
      endif()
      set(archive ${CMAKE_BINARY_DIR}/third_party/llhttp-${EW_LLHTTP_VERSION}.tar.gz)
      file(SHA256 ${archive} got)
      if(NOT got STREQUAL EW_LLHTTP_SHA256)
        message(FATAL_ERROR "llhttp: SHA-256 is ${got}, expected ${EW_LLHTTP_SHA256}")
      endif()
      file(ARCHIVE_EXTRACT INPUT ${archive}
           DESTINATION ${CMAKE_BINARY_DIR}/third_party)
    endif()
  endif()
  ew_llhttp_check_version(${llhttp_dir}/llhttp.h)
  add_library(dep_llhttp STATIC ${llhttp_dir}/llhttp.c ${llhttp_dir}/api.c
              ${llhttp_dir}/http.c)
  target_include_directories(dep_llhttp SYSTEM PUBLIC ${llhttp_dir})
  target_compile_options(dep_llhttp PRIVATE -w)
endif()
