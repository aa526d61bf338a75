import { machineImage, serviceImage } from '../../lab/images';

/** Before any lab: two that start at once would both build the images. */
export default function setup(): void {
  machineImage();
  serviceImage();
}
