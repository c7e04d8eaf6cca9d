constexpr int host_hooks = 1;
