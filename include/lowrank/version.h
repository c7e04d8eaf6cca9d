#pragma once

// The version of these headers; `lowrank::version` tells that of the library.
#define LOWRANK_VERSION_MAJOR 0
#define LOWRANK_VERSION_MINOR 1
#define LOWRANK_VERSION_PATCH 0
