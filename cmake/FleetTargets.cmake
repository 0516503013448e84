# One function per kind of target, so that a folder's CMakeLists.txt is a list of names.

find_program(FLEET_CCACHE ccache)
if(FLEET_CCACHE)
  # base_dir and the sloppiness let two checkouts, and precompiled headers, share the cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_NOHASHDIR=1 ${FLEET_CCACHE})
endif()
find_program(FLEET_MOLD mold)
find_program(FLEET_LLD ld.lld)
if(FLEET_MOLD)
  add_link_options(-fuse-ld=mold)
elseif(FLEET_LLD)
  add_link_options(-fuse-ld=lld)
endif()

add_library(fleet_warnings INTERFACE)
target_compile_options(fleet_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
  # gcc 12 sees overlaps and overruns in its own inlined std::string (GCC PR 105329, 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-array-bounds;-Wno-stringop-overflow>)
target_include_directories(fleet_warnings INTERFACE ${CMAKE_SOURCE_DIR})

# fleet_library(NAME SRCS a.cc … DEPS …): a static library, alias fleet::NAME.
function(fleet_library name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(fleet_${name} STATIC ${arg_SRCS})
  target_link_libraries(fleet_${name} PUBLIC fleet_warnings ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
  add_library(fleet::${name} ALIAS fleet_${name})
endfunction()

# fleet_program(NAME SRCS … DEPS …): an executable in build/bin.
function(fleet_program name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${arg_SRCS})
  target_link_libraries(${name} PRIVATE fleet_warnings ${arg_DEPS})
endfunction()

add_custom_target(unit_tests)

# fleet_test(NAME LABEL unit|integration|e2e SRCS … DEPS … [PROGRAMS …] [TIMEOUT s]): one gtest binary, one ctest entry.
# PROGRAMS are fleet's own executables that the test starts; they are built first.
function(fleet_test name)
  cmake_parse_arguments(arg "SERIAL" "LABEL;TIMEOUT" "SRCS;DEPS;PROGRAMS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(FLEET_SANITIZER STREQUAL tsan)  # it makes everything five to fifteen times slower
    math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 3")
  endif()
  add_executable(${name} ${arg_SRCS})
  target_link_libraries(${name} PRIVATE fleet_warnings ${arg_DEPS} fleet::test_support GTest::gmock GTest::gtest_main)
  target_precompile_headers(${name} REUSE_FROM fleet_test_pch)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  # Only where they are used, so that checkouts share what ccache keeps of all others. Who begins to
  # use them configures anew.
  foreach(source ${arg_SRCS})
    file(STRINGS ${source} uses REGEX "FLEET_(SOURCE|BIN)_DIR" LIMIT_COUNT 1)
    if(uses)
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS
        FLEET_SOURCE_DIR="${CMAKE_SOURCE_DIR}" FLEET_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
    endif()
  endforeach()
  if(arg_PROGRAMS)
    add_dependencies(${name} ${arg_PROGRAMS})
  endif()
  if(arg_LABEL STREQUAL unit)
    add_dependencies(unit_tests ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABEL}" TIMEOUT ${arg_TIMEOUT} RUN_SERIAL "${arg_SERIAL}")
  if(FLEET_SANITIZER STREQUAL asan)
    set_tests_properties(${name} PROPERTIES
      ENVIRONMENT "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0")
  elseif(FLEET_SANITIZER STREQUAL tsan)  # its preset takes gcc's own macro away, for Abseil's sake
    target_compile_definitions(${name} PRIVATE FLEET_TSAN)
  endif()
endfunction()

add_custom_target(fuzzers)
add_custom_target(benches)

# fleet_fuzz(NAME SRC DEPS …): with FLEET_FUZZ a libFuzzer program NAME_fuzz; otherwise the same source replays its
# corpus, tests/fuzz/corpus/NAME/*, as the ctest entry NAME_fuzz.
function(fleet_fuzz name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name}_fuzz ${arg_SRCS})
  target_link_libraries(${name}_fuzz PRIVATE fleet_warnings ${arg_DEPS})
  set_target_properties(${name}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  add_dependencies(fuzzers ${name}_fuzz)
  if(FLEET_FUZZ)
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  else()
    target_link_libraries(${name}_fuzz PRIVATE fleet_fuzz_replay)
    add_test(NAME ${name}_fuzz COMMAND ${name}_fuzz ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
    set_tests_properties(${name}_fuzz PROPERTIES LABELS fuzz TIMEOUT 60)
  endif()
endfunction()

# fleet_bench(NAME SRCS … DEPS …): a Google Benchmark program, never a test.
function(fleet_bench name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${arg_SRCS})
  add_dependencies(benches ${name})
  target_link_libraries(${name} PRIVATE fleet_warnings ${arg_DEPS} benchmark::benchmark)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
endfunction()
