#pragma once

#include <cstddef>
#include <cstdint>

/// What the program and the module that reads Parquet tables (liblowrank_parquet.so) know of each other:
/// functions of C, so that neither sees the other's libraries.
extern "C" {

/// A table that is being read.
struct LowrankParquetReader;

/// Why a table cannot be read.
enum LowrankParquetProblem {
  lowrank_parquet_corrupt,      ///< the file is damaged
  lowrank_parquet_unsupported,  ///< it has columns that rows cannot have
};

/// The functions of the module; none of them throws.
struct LowrankParquetModule {
  int64_t version;  ///< `lowrank_parquet_version` of what it was compiled with

  /// Opens a table whose bytes stay in memory until it is closed. `reader` is also set on failure: it then
  /// holds the message. False on failure.
  bool (*open)(const void* bytes, size_t size, LowrankParquetReader** reader);

  /// The next bytes of the table's rows, each one a JSON object on a line; as many as fit, fewer only at the
  /// end. -1 on failure.
  int64_t (*read)(LowrankParquetReader* reader, char* into, size_t size);

  /// What is wrong, after a failure: a sentence without the file's name, and its kind.
  const char* (*message)(const LowrankParquetReader* reader);
  LowrankParquetProblem (*problem)(const LowrankParquetReader* reader);

  void (*close)(LowrankParquetReader* reader);
};

/// The module's only symbol.
using LowrankParquetEntry = const LowrankParquetModule* (*)();
}

inline constexpr int64_t lowrank_parquet_version = 1;
inline constexpr const char* lowrank_parquet_entry = "lowrank_parquet_module";
