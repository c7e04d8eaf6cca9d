// Two adapters on one base, the second trained from the first's folder:  two_adapters MODEL ROWS.jsonl FOLDER
#include <iostream>
#include <lowrank/lowrank.h>

int main(int, char** arguments) try {
  const std::string rows = arguments[2], folder = arguments[3];
  lowrank::Session session(arguments[1]);
  session.train("short", {{"data", rows}, {"rank", 4}, {"steps", 5}});
  session.save("short", folder);
  session.train("long", {{"data", rows}, {"init_adapter", folder}, {"steps", 20}});
  for (const char* name : {"short", "long"})
    std::cout << name << ": loss " << session.evaluate({{"data", rows}, {"adapter", name}}).loss << '\n';
  std::cout << "base: loss " << session.evaluate({{"data", rows}}).loss << '\n';
} catch (const lowrank::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
