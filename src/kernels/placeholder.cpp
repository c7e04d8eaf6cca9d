namespace lowrank {}
